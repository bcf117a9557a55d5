"""A node of the twin as every gate is shown it at once, without a cluster: its files, its driver's words, its journal,
its pods, its payloads' answers. A fault changes one of these; all gates look at the same.

What reads is ours as it ships: the command that reads a node's files runs on the machine's root, `nvidia-smi` is the
twin's, pods and node are objects of the API. Fixtures that settle are given what they would settle on.
"""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from tests.movers import EVERY
from tests.unit.gates.conftest import GATES, gate
from tests.unit.gates.faults.machine import (
    DRIVER,
    EXPECT,
    NODE,
    NOW,
    SPACE,
    Values,
    a_training,
    an_inference,
    matrix,
    node_of,
    pods_of,
    seeded,
    sets_of,
    shipped,
)

from knowngood.adapters.cluster import journals, node_state
from knowngood.adapters.cluster.gpu_config import GpuConfig
from knowngood.adapters.cluster.node_state import Reading
from knowngood.adapters.judging import operand_view
from knowngood.adapters.judging.operand_view import Declared
from knowngood.adapters.judging.probe_job import Answers
from knowngood.adapters.kubernetes import pod_exec, streamed
from knowngood.adapters.kubernetes.pod_exec import Ran
from knowngood.gate import kernel_log, probing, verdicts
from knowngood.gate.driver import NVLINK, QUERY, Reports, links_of, report_of
from knowngood.gate.events import _verdict
from knowngood.gate.fixtures import PAYLOAD, RDMA, opening, owners, readable, same_boot
from knowngood.gate.log_errors import Beside
from knowngood.gate.parting import parted
from knowngood.model.context import JudgeRequest, Window
from knowngood.model.errors import Unreachable
from knowngood.model.matrix import Cluster, Profile
from knowngood.model.node import Leftover, NodeState
from knowngood.model.verdict import Verdict
from knowngood.ports.registry import Images, Looked
from knowngood.probe import rdma
from knowngood.probe.host import Host
from knowngood.twin import objects
from knowngood.twin.behaviours import nvidia_smi as twins
from knowngood.twin.events import EventLog
from knowngood.twin.journal import Journal, answer
from knowngood.twin.world import Machine

KUBE: Any = type("Nobody", (), {"timeout": 5.0})()
"""Whom the readers ask: what they ask is answered before it is sent."""


@dataclass
class Recorded:
    """One node; whatever is changed in it is what all gates see next."""

    machine: Machine
    node: Values
    pods: list[Values]
    sets: list[Values]
    profile: Profile
    cluster: Cluster
    results: Values = field(default_factory=lambda: {"training": a_training(), "inference": an_inference()})
    answered: Values = field(default_factory=dict)
    """Of the probe's document what is another."""
    unanswered: str = ""
    """Why there is none."""
    printed: dict[tuple[str, ...], Callable[[str], str | Ran]] = field(default_factory=dict)
    """What a command in the driver pod prints instead of the twin's own answer."""
    silent: str = ""
    """Why no command can be run in the driver pod."""
    journal: Callable[[str], str] = lambda text: text
    unread: str = ""
    """Why the kubelet does not give the journal."""
    declared: list[Declared] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)
    leftovers: list[Leftover] = field(default_factory=list)
    config: GpuConfig = field(default_factory=lambda: GpuConfig(policy=True))
    images: dict[str, Looked] = field(default_factory=dict)
    asked: Values = field(default_factory=dict)
    """Of the request what is another than of a judgement after a change."""
    limits: dict[str, Values] = field(default_factory=dict)
    others: list[Values] = field(default_factory=list)
    """The payloads' results on other nodes of the judgement."""
    beside: Beside = field(default_factory=Beside)
    more: dict[str, Callable[[Recorded], Any]] = field(default_factory=dict)
    """What only one gate asks for, by the fixture's name: its rows tell."""
    baseline: dict[str, Values] = field(default_factory=dict)
    window: Window | None = None

    # --- as the cluster would answer ---

    def execute(self, argv: Sequence[str]) -> Ran:
        """A command in the driver pod."""
        if self.silent:
            raise Unreachable(self.silent)
        if argv[0] == "nvidia-smi":
            found = twins.run(self.machine, argv[1:])
            made = self.printed.get(tuple(argv), str)(found.stdout.decode())
            return made if isinstance(made, Ran) else Ran(made, found.stderr.decode(), found.code)
        self.machine.tick()
        root = str(self.machine.root)
        there = [f"{root}{word}" if word.startswith("/") else word for word in argv]
        done = subprocess.run(there, capture_output=True, text=True, check=False)
        return Ran(done.stdout.replace(root, ""), done.stderr, done.returncode)

    def kernel(self, boot: int, words: str = "") -> str:
        """The journal of a boot, as the gates get it: read once, and only what matters, and what movers ask for."""

        with patch.object(streamed, "lines", self._lines):
            return journals.read(KUBE, NODE, boot=boot, words=words)

    def _lines(self, _kube: Any, where: str, query: Mapping[str, str], **_how: Any) -> Iterator[str]:
        return iter(self._journal(where, **query).split("\n"))

    def _journal(self, _where: str, **query: Any) -> str:
        return self.asked_journal({key: str(value) for key, value in query.items() if key != "busy"})

    def asked_journal(self, query: Mapping[str, str]) -> str:
        """The kubelet's answer."""
        if self.unread:
            raise Unreachable(self.unread)
        return self.journal(answer(self.machine.journal.entries(), query).decode())

    def up(self) -> float:
        """Seconds since boot."""
        return time.time() - self.machine.booted_at

    # --- as the plugin gives it to a gate ---

    def state(self) -> NodeState:
        """The node, as the reader measures it."""
        reading = Reading(KUBE, lambda _n, words, _m: self.kernel(0, words), ports=True)
        ran = patch.object(pod_exec, "run", lambda _k, _s, _n, _c, argv: self.execute(argv))
        with ran, patch.object(streamed, "lines", self._lines):
            found = node_state.measure(reading, self.node, self.pods, EVERY, gpu=True)
        return same_boot(found, node_state.known(self.node))

    def request(self) -> JudgeRequest:
        """A judgement of this node after a change, at a time without tenants."""
        values: Values = {
            "name": "judge",
            "run": "r1",
            "gates": (),
            "nodes": (NODE,),
            "expect": {NODE: EXPECT},
        }
        values |= {"windows": {}, "schemes": matrix().schemes, "movers": EVERY, "baseline": self.baseline}
        values |= {
            "first_loads": {NODE: Window(self.machine.boot_id, 0.0, "")},
            "loads_as_read": True,
            "reported": matrix().reported,
        }
        return JudgeRequest(**{**values, **self.asked})

    def given(self) -> Values:
        """All that any gate asks for, but what is each gate's own."""
        state, request = self.state(), self.request()
        newest = state.newest
        loaded = Window(newest.boot_id, newest.at, "") if newest else None
        told = {NODE: report_of(self.ran(QUERY))}
        log = kernel_log.read(
            self.kernel, opening(request, self.window, loaded), state.boot_id or self.machine.boot_id
        )
        found = replace(log, up=state.uptime_seconds, owners=owners(state), beside=lambda: self.beside)
        at_rest = {NODE: operand_view.of_node(self.node, self.sets, self.pods, NOW)}
        return {
            "node": NODE,
            "state": state,
            "judgement": request,
            "expect": request.expect.get(NODE, {}),
            "profile": self.profile,
            "cluster": self.cluster,
            "window": self.window,
            "load": loaded,
            "kernel_log": found,
            "states": {NODE: state},
            "states_at_rest": {NODE: state},
            "parted_at_rest": {NODE: state},
            "shared_at_rest": {NODE: state},
            "told_at_rest": told,
            "reports": Reports(told, lambda _nodes: told),
            "nvlinks": {NODE: links_of(self.ran(NVLINK))},
            "parted_now": parted(lambda nodes, argv: dict.fromkeys(nodes, self.ran(argv)), told),
            "gpu_settings": self.config,
            "at_rest": at_rest,
            "operators": self.declared,
            "refusals": self.refusals,
            "leftovers": self.leftovers,
            "images": self.images,
            **{name: make(self) for name, make in self.more.items()},
        }

    def ran(self, argv: Sequence[str]) -> Ran | str:
        """As the plugin asks all nodes."""
        try:
            return self.execute(argv)
        except Unreachable as error:
            return str(error)

    def probed(self, payload: str, state: NodeState) -> Values:
        """A payload's result, as the plugin takes it from the probe's documents."""
        document = {"node": NODE, "bootId": self.machine.boot_id, "results": self.results}

        def answers() -> Answers:
            if self.unanswered:
                return Answers({}, {NODE: self.unanswered})
            return Answers({NODE: {**document, **self.answered}})

        if payload != RDMA:
            return dict(probing.answer(answers(), node_state.known(self.node), payload))

        def portless() -> Answers:
            document["results"] = {RDMA: rdma.run(Host(self.machine.root), {}), **self.results}
            return answers()

        found = probing.ports(state, self.profile.nics, portless)
        return {**found, "nicLoads": probing._nic_loads(state, EVERY, self.kernel(0))}

    def judged(self, names: Iterable[str], given: Values | None = None) -> dict[str, Said]:
        """What each of these gates says: the worst of its tests; `given`: what was read already."""
        given = self.given() if given is None else given
        return {name: self._one(name, given) for name in names}

    def _one(self, name: str, given: Values) -> Said:
        module = gate_of(name)
        tests = {n: f for n, f in vars(module).items() if n.startswith("test_")}
        words: list[Said] = []
        measured: Values = {}
        for test in tests.values():
            for part in _parts(test):
                notes = verdicts.begin()
                try:
                    test(**self._arguments(name, module, test, given | part))
                    said = Said(Verdict.PASS, notes.reason)
                except BaseException as error:  # noqa: BLE001 (a verdict is no Exception)
                    said = Said(*_verdict(error, in_call=True))
                measured |= json.loads(json.dumps(notes.measured))
                words.append(said)
        order = (Verdict.PASS, Verdict.INCONCLUSIVE, Verdict.FAIL)
        worst = max((w.verdict for w in words), key=order.index)
        return Said(worst, "; ".join(w.reason for w in words if w.verdict is worst and w.reason), measured)

    def _arguments(self, name: str, module: Any, test: Any, given: Values) -> Values:
        wanted = inspect.signature(test).parameters
        own: Values = {}
        if {"state", "kernel_log"} & {*wanted} or getattr(module, PAYLOAD, "") == RDMA:
            readable(given["state"])
        if "limits" in wanted:
            own["limits"] = {**self.profile.gates.get(name, {}), **self.limits.get(name, {})}
        if "baseline" in wanted:
            own["baseline"] = self.baseline.get(f"{name}/{NODE}") if self.baseline else None
        if "probe" in wanted:
            readable(node_state.known(self.node))
            own["probe"] = self.probed(getattr(module, PAYLOAD), given["state"])
        if "pool" in wanted:
            payload = getattr(module, PAYLOAD)
            own["pool"] = [one[payload] for one in [self.results, *self.others] if payload in one]
        return {n: own[n] if n in own else given[n] for n in wanted}

    def copied(self, folder: Path) -> Recorded:
        """The same node once more, in files of its own: the machine writes each anew, but for its journal."""
        root, here = self.machine.root, folder / "root"
        shutil.copytree(root, here, symlinks=True, copy_function=os.link)
        journal = here / "var/log/journal.jsonl"
        journal.unlink()
        shutil.copy2(root / "var/log/journal.jsonl", journal)
        machine = copy(self.machine)
        vars(machine).update({k: copy(v) for k, v in vars(machine).items() if isinstance(v, (dict, set))})
        machine.root, machine._base = here, str(here)
        machine._folders = {f"{here}{name.removeprefix(str(root))}" for name in self.machine._folders}
        machine.journal = Journal(journal, machine.name)
        machine.nic = copy(machine.nic)
        machine.nic._machine = machine
        kept = {k: v for k, v in vars(self).items() if k not in ("machine", "profile", "cluster", "journal")}
        return Recorded(machine=machine, profile=self.profile, cluster=self.cluster, **deepcopy(kept))

    # --- what rows change ---

    def pod(self, daemonset: str) -> Values:
        """The pod of a DaemonSet."""
        return next(p for p in self.pods if p["metadata"]["ownerReferences"][0]["name"] == daemonset)

    def edited(self, argv: Sequence[str], old: str, new: str, gpu: int = 0) -> None:
        """What nvidia-smi prints of one GPU is another."""

        def change(text: str) -> str:
            parts = text.split("<gpu ")
            assert old in parts[gpu + 1], old
            parts[gpu + 1] = parts[gpu + 1].replace(old, new, 1)
            return "<gpu ".join(parts)

        self.printed[tuple(argv)] = change

    def labelled(self, **labels: str) -> None:
        """Labels of nvidia.com, `_` for what can't stand in a name: mig_config is mig.config."""
        self.node["metadata"]["labels"] |= {f"nvidia.com/{k.replace('_', '.')}": v for k, v in labels.items()}

    def offers(self, **resources: str) -> None:
        """What is allocatable, of nvidia.com."""
        self.node["status"]["allocatable"] |= {f"nvidia.com/{k}": v for k, v in resources.items()}

    def passes(self, hours: float) -> None:
        """So much time passes: the machine has been up that much longer, and its log is that much older."""
        self.machine.booted_at -= hours * 3600
        path = self.machine.root / "var/log/journal.jsonl"
        entries = [json.loads(line) for line in path.read_text().splitlines()]
        for entry in entries:
            entry["__REALTIME_TIMESTAMP"] = str(int(entry["__REALTIME_TIMESTAMP"]) - int(hours * 3.6e9))
        path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))

    def figures(self, payload: str, **changes: Any) -> None:
        """Figures of a payload."""
        self.results[payload]["measured"] |= changes


@dataclass(frozen=True, slots=True)
class Said:
    """A gate's verdict on the node."""

    verdict: Verdict
    reason: str
    measured: Values = field(default_factory=dict)


@cache
def gate_of(name: str) -> ModuleType:
    """The gate's module, read once."""
    return gate(name)


def _parts(test: Any) -> list[Values]:
    """What a test is called with once for each, by its own parametrize."""
    marks = [m for m in getattr(test, "pytestmark", ()) if m.name == "parametrize"]
    return [{m.args[0]: value} for m in marks for value in m.args[1]] or [{}]


def names() -> list[str]:
    """All gates that ship."""
    return sorted(path.stem for path in GATES.glob("*.py"))


def at_rest(folder: Path, prepare: Callable[[Recorded], object], **seed: Any) -> Recorded:
    """A node at rest, an hour after its driver was loaded, with the baseline that all gates took of it then.

    `prepare`: what belongs to it beside the seed's fields.
    """
    whole = seeded(**seed)
    (one,) = whole.nodes
    root = folder / "root"
    root.mkdir(parents=True)
    machine = Machine(one, root, EventLog(folder / "events.jsonl"), objects.os_release(whole.openshift))
    machine.boot("power-on")
    machine.load_driver(DRIVER, "open")
    machine.install_user_space(DRIVER)
    machine.start_fabric_manager()
    profile, cluster = shipped()
    recorded = Recorded(machine, node_of(whole, one, machine), pods_of(machine), sets_of(), profile, cluster)
    prepare(recorded)
    recorded.declared = [
        Declared("gpu-operator", f"Subscription {SPACE}/gpu-operator", "25.10.1", "Succeeded", "", 9000.0)
    ]
    recorded.images = {
        part: Looked(("mirror.example.com/driver:1",), Images()) for part in ("present", "target")
    }
    recorded.passes(1.0)
    taken = recorded.judged(names())
    unwell = {name: said.reason for name, said in taken.items() if said.verdict is not Verdict.PASS}
    if unwell:
        raise AssertionError(unwell)
    recorded.baseline = {f"{name}/{NODE}": said.measured for name, said in taken.items()}
    recorded.window = Window(machine.boot_id, 3600.0, "")
    recorded.passes(1.0)
    return recorded
