"""What a gate can ask for: the request, the cluster's facts, the node's state, its kernel log, a probe's answer.

Everything is read at most once a session, and a node is asked as little as can be: its files in one request, its
kernel log in one, and a probe only for what computes, or what the driver pod does not show. What can't be read makes
the gates that ask for it inconclusive.
"""

from __future__ import annotations

import functools
import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from knowngood.adapters.cluster import facts, journals, kernel_source, spool
from knowngood.adapters.cluster.node_state import Moment
from knowngood.adapters.judging.probe_manifest import fabric_name, group_name, is_of
from knowngood.adapters.kubernetes.client import AGENT, Kube
from knowngood.gate import context as contexts
from knowngood.gate import kernel_log as kernel
from knowngood.gate.context import SEEN, Context
from knowngood.gate.events import gate_of
from knowngood.gate.kernel_log import FIRST_LINE, KernelLog, earlier_of
from knowngood.gate.reading import cluster_reader
from knowngood.gate.settling import Seconds, Settle, Waits, settled
from knowngood.gate.verdicts import judge
from knowngood.gate.xid import GPU, NIC
from knowngood.model.context import JudgeRequest, Window
from knowngood.model.errors import KnowngoodError
from knowngood.model.hardware import Hardware
from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Cluster, Profile, Release
from knowngood.model.node import Leftover, NodeState
from knowngood.model.values import Values
from knowngood.ports.cluster import ClusterReader

PAYLOAD = "PAYLOAD"
"""A gate that needs a probe names its payload in a module constant of this name."""
COMPUTING = ("training", "inference")
FABRIC = "fabric"
"""The payload with which nodes measure between each other: meeting.py."""
RDMA = "rdma"
"""The payload that the driver pod's files answer, too: a Job is sent only where they show no port."""
JOURNAL_PATIENCE = 5.0
"""Seconds for one node's kubelet; the others must not wait for it."""
REBOOTED = "the node was rebooted while it was judged"
SETTLED = 30
"""Seconds before the window's opening at which an older line is looked for: the node's clock is not read at once."""

CONTEXT = pytest.StashKey[Context]()
"""Where a session keeps what it read: each test asks for the nodes in it."""

Observe = Callable[[str], NodeState]
Journals = Callable[[str, int], str]
EntryBefore = Callable[[str, float], str]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test that takes `node` runs once for each node of the request."""
    if "node" in metafunc.fixturenames:
        request, gate = _context(metafunc.config).request, Path(str(metafunc.module.__file__)).stem
        nodes = request.only.get(gate, request.nodes)
        metafunc.parametrize("node", nodes, ids=nodes)


def _context(config: pytest.Config) -> Context:
    if (kept := config.stash.get(CONTEXT, None)) is None:
        kept = config.stash[CONTEXT] = contexts.load(Path(config.getoption("--knowngood-context")))
    return kept


@pytest.fixture(scope="session")
def knowngood_context(pytestconfig: pytest.Config) -> Context:
    """All of context.json."""
    return _context(pytestconfig)


@pytest.fixture(scope="session")
def judgement(knowngood_context: Context) -> JudgeRequest:
    """The request: nodes, expectations, windows, baselines."""
    return knowngood_context.request


@pytest.fixture(scope="session")
def cluster(knowngood_context: Context) -> Cluster:
    """The cluster file."""
    return knowngood_context.cluster


@pytest.fixture(scope="session")
def hardware(knowngood_context: Context) -> Hardware:
    """The hardware profiles of the cluster's nodes."""
    return knowngood_context.hardware


@pytest.fixture
def profile(hardware: Hardware, node: str) -> Profile:
    """The node's hardware profile."""
    return hardware.of(node)


@pytest.fixture(scope="session")
def release(knowngood_context: Context) -> Release | None:
    """The release that is judged, None where the cluster is judged as it is."""
    return knowngood_context.release


@pytest.fixture
def limits(request: pytest.FixtureRequest, profile: Profile) -> Values:
    """This gate's parameters in the hardware profile."""
    return profile.gates.get(gate_of(request.node), {})


@pytest.fixture
def expect(judgement: JudgeRequest, node: str) -> Mapping[str, str]:
    """The versions that must run on the node."""
    return judgement.expect.get(node, {})


@pytest.fixture
def window(judgement: JudgeRequest, node: str) -> Window | None:
    """Since when the node is judged; None: since it booted."""
    return judgement.windows.get(node)


@pytest.fixture
def load(request: pytest.FixtureRequest, judgement: JudgeRequest, node: str) -> Window | None:
    """Since when the module that is judged is loaded on the node; None: nobody knows."""
    if not judgement.loads_as_read:
        return judgement.loads.get(node)
    states: Mapping[str, NodeState] = request.getfixturevalue("states")
    newest = states[node].newest
    return Window(newest.boot_id, newest.at, "") if newest else None


@pytest.fixture
def baseline(request: pytest.FixtureRequest, judgement: JudgeRequest, node: str) -> Values | None:
    """What this gate measured on this node before the change.

    None where nothing is compared: a baseline is being taken, or nothing at all was measured on the node before (it
    is no part of the change). Inconclusive where others were, but not this gate.
    """
    measured = {key for key in judgement.baseline if key.partition("/")[2] == node}
    if judgement.taking_baseline or not measured:
        return None
    key = f"{gate_of(request.node)}/{node}"
    if key not in measured:
        judge.inconclusive("nothing was measured on this node before the change")
    return judgement.baseline[key]


@pytest.fixture(scope="session")
def kube(knowngood_context: Context) -> Kube:
    """The cluster's API; an outage is waited for as long as a run's Lease lasts."""
    where = knowngood_context.kubeconfig
    patience = knowngood_context.cluster.limits.lease
    return Kube(
        Path(where) if where else None, patience=patience, first_patience=patience, agent=f"{AGENT}-gates"
    )


@pytest.fixture(scope="session")
def told() -> dict[str, str]:
    """The drivers' kernel lines of each node's present boot, as they were read last."""
    return {}


@pytest.fixture(scope="session")
def reader(
    request: pytest.FixtureRequest, knowngood_context: Context, kube: Kube, told: dict[str, str]
) -> ClusterReader:
    """What reads the cluster. A look at a node reads all its drivers' kernel lines: the gates need them next."""

    judgement = knowngood_context.request

    def journal(node: str, words: str, moment: Moment | None) -> str:
        opened = opening(judgement, judgement.windows.get(node), judgement.loads.get(node))
        since = (
            opened.monotonic
            if opened and moment and plain_boot(moment) == kernel.plain(opened.boot_id)
            else None
        )
        up = moment[1] if moment else None
        told[node] = journals.read(kube, node, since=since, up=up, words=words)
        if since is None or all(word in told[node] for word in words.split("|")):
            return told[node]
        # What was loaded before the window opened is asked for by its banner alone.
        return facts.journal(kube, node, grep=words, busy=JOURNAL_PATIENCE, up=up) + told[node]

    return cluster_reader(kube, knowngood_context.cluster, journal, ports=RDMA in payloads(request))


@pytest.fixture(scope="session")
def begun(judgement: JudgeRequest, reader: ClusterReader) -> Mapping[str, NodeState]:
    """All nodes as the API server knew them when the judgement began."""
    return reader.standing(judgement.nodes)


@dataclass(frozen=True, slots=True)
class Look:
    """All nodes as they were read, and when that began, on our monotonic clock."""

    states: Mapping[str, NodeState]
    at: float


@pytest.fixture(scope="session")
def look(
    request: pytest.FixtureRequest,
    judgement: JudgeRequest,
    reader: ClusterReader,
    begun: Mapping[str, NodeState],
    knowngood_context: Context,
    told: dict[str, str],
) -> Look:
    """The nodes are looked at once; where gates put load on them, after that: what it did is what must be seen.

    A run's start has just looked at them; where that was kept, it is this look.
    """
    if payloads(request) & {*COMPUTING}:
        with suppress(KnowngoodError):  # the gates that need the answers say so
            request.getfixturevalue("answers")
    if FABRIC in payloads(request):
        with suppress(KnowngoodError):
            request.getfixturevalue("meeting")
    kept = spool.read(knowngood_context.first_look)
    first = {name: kept.states[name] for name in judgement.nodes if name in kept.states}
    told.update({name: kept.journals[name] for name in first})
    seen = {**first, **_look(reader, judgement, [name for name in judgement.nodes if name not in first])}
    seen = {name: same_boot(seen[name], begun[name]) for name in judgement.nodes}
    back = {name: to_json(replace(s, rdma={})) for name, s in seen.items()}  # its ports are the gates' alone
    (Path(knowngood_context.folder) / SEEN).write_text(json.dumps(back), encoding="utf-8")
    return Look(seen, kept.at)


@pytest.fixture(scope="session")
def states(look: Look) -> Mapping[str, NodeState]:
    """All nodes as they were read; one that did not answer was asked twice.

    The second look begins with a call that waits for the API server, so a short outage does not cost a verdict.
    """
    return look.states


def _look(reader: ClusterReader, judgement: JudgeRequest, nodes: Sequence[str]) -> Mapping[str, NodeState]:
    seen = dict(reader.observe(nodes, judgement.movers))
    silent = [name for name, state in seen.items() if not state.reachable]
    return {**seen, **reader.observe(silent, judgement.movers)} if silent else seen


@pytest.fixture
def state(states: Mapping[str, NodeState], node: str) -> NodeState:
    """The node as it was read; inconclusive where it could not be."""
    return readable(states.get(node))


@pytest.fixture
def observe(reader: ClusterReader, judgement: JudgeRequest) -> Observe:
    """Reads a node again, now."""

    def look(node: str) -> NodeState:
        return readable(reader.observe([node], judgement.movers).get(node))

    return look


@pytest.fixture(scope="session")
def settle(reader: ClusterReader, states: Mapping[str, NodeState], judgement: JudgeRequest) -> Settle:
    """Waits until no node `waits` any more, at most so many seconds; returns all nodes as they are then."""

    again = functools.partial(reader.observe, specs=judgement.movers)

    def wait(waits: Waits, seconds: Seconds) -> Mapping[str, NodeState]:
        return settled(states, again, lambda _, state: waits(state), seconds)

    return wait


@pytest.fixture(scope="session")
def leftovers(reader: ClusterReader, judgement: JudgeRequest) -> Sequence[Leftover]:
    """What runs or drainers left behind, anywhere on the cluster; not this judgement's own probes."""
    own = [group_name(judgement.run, name) for name in (judgement.name, fabric_name(judgement.name))]
    return [
        x
        for x in reader.leftovers()
        if x.kind != "job" or not any(is_of(group, x.where.rpartition("/")[2]) for group in own)
    ]


@pytest.fixture(scope="session")
def journals_of(kube: Kube, told: Mapping[str, str]) -> Journals:
    """The kernel lines of a node's boot that matter: the present one's as they were read last, others' read once."""

    @functools.cache
    def fetch(node: str, boot: int) -> str:
        return told[node] if boot == 0 and node in told else journals.read(kube, node, boot=boot)

    return fetch


@pytest.fixture(scope="session")
def entry_before(kube: Kube, look: Look) -> EntryBefore:
    """The newest entry of a node's journal from before a moment of its present boot: each is asked for once."""

    @functools.cache
    def ask(node: str, moment: float) -> str:
        seen, since = look.states[node].uptime_seconds, time.monotonic() - look.at
        ago = math.ceil((seen or moment) + since - moment) + SETTLED
        up = None if seen is None else seen + since
        told = "\n".join(kernel_source.ask(kube, node, {"until": f"-{ago}s", "tail": "1"}, up=up))
        if "{" in told:
            return told
        # So near to the boot there is no older entry: the boot's own first line shows that the log begins with it.
        return "\n".join(kernel_source.ask(kube, node, {"grep": f"^{FIRST_LINE}", "tail": "1"}, up=up))

    return ask


@pytest.fixture
def kernel_log(
    request: pytest.FixtureRequest,
    entry_before: EntryBefore,
    journals_of: Journals,
    judgement: JudgeRequest,
    load: Window | None,
    state: NodeState,
    window: Window | None,
) -> KernelLog:
    """The node's kernel lines since the window opened, or the module was loaded that is judged: what came first."""
    opened = opening(judgement, window, load)
    before = functools.partial(entry_before, state.name)
    found = kernel.read(lambda boot: journals_of(state.name, boot), opened, state.boot_id, before)
    found = replace(found, up=state.uptime_seconds)
    return replace(
        found,
        owners=owners(state),
        beside=lambda: request.getfixturevalue("neighbours")(state.name, found.hours),
        remap_failed=lambda address: request.getfixturevalue("remap_failed")(state.name, address),
    )


def owners(state: NodeState) -> dict[str, str]:
    """The PCI addresses of a node's GPUs and RDMA devices, and which they are."""
    nics = {str(device.get("pci")): NIC for device in state.rdma.get("devices", ())}
    return nics | dict.fromkeys(state.gpus, GPU)


def opening(judgement: JudgeRequest, window: Window | None, load: Window | None) -> Window | None:
    """Since when a node's kernel lines are judged; for a baseline it is since the load, of which it tells the rate."""
    return load or window if judgement.taking_baseline else earlier_of(window, load)


def plain_boot(moment: Moment) -> str:
    """The boot of a moment, as a journal writes it."""
    return kernel.plain(moment[0])


def same_boot(state: NodeState, begun: NodeState) -> NodeState:
    """The state, if the node runs the boot that it ran when the judgement began; else one that can't be read."""
    boots = {kernel.plain(state.boot_id), kernel.plain(begun.boot_id)} - {""}
    return replace(state, reachable=False, trouble=REBOOTED) if len(boots) > 1 else state


def payloads(request: pytest.FixtureRequest) -> set[str]:
    """The payloads that the collected gates name."""
    return {p for i in request.session.items if (p := getattr(module(i), PAYLOAD, ""))}


def readable(state: NodeState | None) -> NodeState:
    """The state, if the node could be read; inconclusive otherwise."""
    if state is None or not state.reachable or not state.boot_id:
        why = (state.trouble or "it did not tell its boot id") if state else "it was not observed"
        judge.inconclusive(f"the node can't be read: {why}")
    return state


def module(item: Any) -> object:
    """The gate's file, as a module."""
    return getattr(item, "module", None)
