"""What a gate can ask the GPU driver itself for: `nvidia-smi` in the driver's pod, all nodes of a session at once.

No Job and no GPU is needed for it, so it works on nodes in use. What a node did not answer is its `trouble`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from knowngood.adapters.cluster import driver_pod, nvidia_smi
from knowngood.adapters.cluster.nvidia_smi import Links, Report
from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.kubernetes.pod_exec import Ran
from knowngood.gate.settling import Seconds, settled
from knowngood.model.context import JudgeRequest
from knowngood.model.matrix import Cluster
from knowngood.model.node import NodeState

QUERY = ("nvidia-smi", "-q", "-x")
NVLINK = ("nvidia-smi", "nvlink", "-s")
LIST = ("nvidia-smi", "-L")
SAID = {
    8: "external power cables are not attached",
    10: "the kernel detected an interrupt issue with a GPU",
    14: "an InfoROM is corrupted",
    15: "a GPU has fallen off the bus or can't be reached",
}
"""Exit codes of nvidia-smi that say what is wrong with a GPU (its manual page); any other says that it did not work."""

Ask = Callable[[Sequence[str], Sequence[str]], Mapping[str, Ran | str]]
"""(nodes, argv) -> what that left on each node, or why it could not be run."""


@dataclass(frozen=True, slots=True)
class Told:
    """One node's answer: the report, or why there is none; and what its exit code said is wrong."""

    report: Report | None = None
    trouble: str = ""
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class LinksTold:
    """One node's NVLinks by GPU UUID, or why they are not known."""

    links: Mapping[str, Links] = field(default_factory=dict)
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Reports:
    """All nodes as their drivers described them, and how they are asked again."""

    told: Mapping[str, Told]
    again: Callable[[Sequence[str]], Mapping[str, Told]]

    def settled(self, waits: Callable[[str, Told], bool], seconds: Seconds) -> Mapping[str, Told]:
        """The same once no node `waits` any more, or its seconds are over: all nodes together."""
        return settled(self.told, self.again, waits, seconds)


@pytest.fixture(scope="session")
def ask(kube: Kube, cluster: Cluster) -> Ask:
    """Runs a command in the driver pods of nodes."""

    def run(nodes: Sequence[str], argv: Sequence[str]) -> Mapping[str, Ran | str]:
        return driver_pod.ask(kube, cluster.operator_namespace, nodes, argv)

    return run


@pytest.fixture(scope="session")
def reports(ask: Ask, judgement: JudgeRequest, states: Mapping[str, NodeState]) -> Reports:
    """`nvidia-smi -q -x` of all nodes that can be read."""

    def look(nodes: Sequence[str]) -> Mapping[str, Told]:
        return {node: report_of(ran) for node, ran in ask(nodes, QUERY).items()}

    return Reports(look(_readable(judgement, states)), look)


@pytest.fixture(scope="session")
def nvlinks(ask: Ask, judgement: JudgeRequest, states: Mapping[str, NodeState]) -> Mapping[str, LinksTold]:
    """`nvidia-smi nvlink -s` of all nodes that can be read."""
    found = ask(_readable(judgement, states), NVLINK)
    return {node: links_of(ran) for node, ran in found.items()}


def report_of(ran: Ran | str) -> Told:
    """What an answer of QUERY tells."""
    if isinstance(ran, str):
        return Told(trouble=f"the driver could not be asked: {ran}")
    wrong = SAID.get(ran.code, "")
    if ran.code and not wrong:
        words = " ".join((ran.stdout[:200] + " " + ran.stderr[:200]).split())
        return Told(trouble=f"nvidia-smi ended with {ran.code}: {words[:200]}")
    try:
        return Told(nvidia_smi.parse(f"{ran.stdout}\n{ran.stderr}"), wrong=wrong)
    except ValueError as error:
        return Told(trouble=f"what nvidia-smi printed can't be read: {error}", wrong=wrong)


def links_of(ran: Ran | str) -> LinksTold:
    """What an answer of NVLINK tells."""
    if isinstance(ran, str):
        return LinksTold(trouble=f"the driver could not be asked for its NVLinks: {ran}")
    if ran.code:
        return LinksTold(trouble=f"nvidia-smi nvlink ended with {ran.code}")
    return LinksTold(nvidia_smi.links(ran.stdout))


def _readable(judgement: JudgeRequest, states: Mapping[str, NodeState]) -> list[str]:
    return [n for n in judgement.nodes if n in states and states[n].reachable]
