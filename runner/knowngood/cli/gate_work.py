"""What `knowngood gate` does: windows, baselines and requests around the same judge that a run uses."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from knowngood.adapters.clock import SystemClock
from knowngood.adapters.cluster import facts
from knowngood.adapters.kubernetes.client import Kube
from knowngood.cli import gate_held, gate_since, runs
from knowngood.cli.gate_held import InUse
from knowngood.cli.matrix_source import Source
from knowngood.cli.signals import stopped_by_signals
from knowngood.cli.terminal import say
from knowngood.cli.wiring import Place, checkpoint, judge_of, reader
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import Interrupted, UsageError
from knowngood.model.hardware import Hardware
from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Cluster, Release
from knowngood.model.mover import Mark
from knowngood.model.node import NodeState
from knowngood.model.values import Object, Values
from knowngood.model.verdict import GateResult, Judgement
from knowngood.planner.freshness import NotRun, not_run
from knowngood.planner.gates import PROFILES, applicable, applicable_on, paired, with_images
from knowngood.ports.cancel import Cancel
from knowngood.report.console import PlainLines
from knowngood.report.summary import JudgementLine, judgement_line

SCHEMA = 1


@dataclass
class Work:
    """One call of `knowngood gate`. `figures` and `kept` are what a baseline keeps.

    `not_run`: what was not judged on nodes in use.
    """

    source: Source
    cluster: Cluster
    release: Release
    kubeconfig: Path
    folder: Path
    nodes: tuple[str, ...]
    gates: tuple[str, ...]
    profile: str

    def __post_init__(self) -> None:
        self.figures: dict[str, Values] = {}
        self.kept: Object = {}
        self.not_run: tuple[NotRun, ...] = ()


def new_id() -> str:
    """An id for a judgement outside a run."""
    return f"g{runs.new_id()[1:]}"


def judge(work: Work, *, since: Path | None, taking: bool) -> list[JudgementLine]:
    """Judge passively, and by the call's profile actively where nobody works; nowhere on a node that a run holds."""
    use = gate_held.in_use(work.kubeconfig, work.cluster, work.nodes)
    seen = reader(work.kubeconfig, work.cluster).observe(work.nodes, work.source.matrix.movers)
    opened = gate_since.today(seen)
    if taking:
        opened = gate_since.before(seen, checkpoint(work.kubeconfig))
        work.kept = gate_since.kept(seen, opened, SystemClock().now())
    if since is not None:
        opened = gate_since.after(read(since, work.cluster.name), seen, partial(_loads, work, seen))
    work.folder.mkdir(parents=True, exist_ok=True)
    lines = []
    budget = PROFILES[work.profile].budget  # of the whole call
    ends = time.monotonic() + budget if budget else None
    for name, gates, nodes in _judgements(work, use):
        request = JudgeRequest(
            name=name,
            run=work.folder.name,
            gates=gates,
            nodes=nodes,
            expect=dict.fromkeys(nodes, work.release.components),
            windows={n: opened.windows[n] for n in nodes if n in opened.windows},
            baseline=opened.figures,
            loads={n: opened.loads[n] for n in nodes if n in opened.loads},
            excluded={n: opened.excluded[n] for n in nodes if n in opened.excluded},
            taking_baseline=taking,
            deadline=max(1.0, ends - time.monotonic()) if ends else work.cluster.limits.judge,
            schemes=work.source.matrix.schemes,
            reported=work.source.matrix.reported,
            movers=work.source.matrix.movers,
            tenants_work=True,
            still=opened.still,
            by_hand=since is not None,
            only=_only(work, gates, nodes),
            partners=_partners(work, nodes) if paired(_hardware(work)) & {*gates} else (),
        )
        cancel = Cancel()
        with stopped_by_signals(cancel, "stopping; nothing was changed"):
            judgement = _judged(work, request, cancel)
        work.figures |= {key_of(r): r.measured for r in judgement.results}
        lines.append(judgement_line(name, judgement))
    return lines


def _loads(work: Work, seen: Mapping[str, NodeState], node: str) -> tuple[Mark, ...]:
    """All arrivals of what may move, oldest first."""
    up = seen[node].uptime_seconds if node in seen else None
    kube, proofs = Kube(work.kubeconfig), [s.proof for s in work.source.matrix.movers.values() if s.proof]
    found = [mark for proof in proofs for mark in facts.module_loads(kube, node, proof, up)]
    return tuple(sorted(found, key=lambda mark: mark.at))


def _judged(work: Work, request: JudgeRequest, cancel: Cancel) -> Judgement:
    try:
        judgement = judge_of(_place(work), PlainLines()).judge(request, cancel)
        cancel.check()
    except Interrupted as stopped:
        raise Interrupted(str(stopped), hint="nothing was changed; start it again") from None
    return judgement


def _judgements(work: Work, use: InUse) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    """Name, gates and nodes of each judgement; what does not run goes to `work.not_run`."""
    free = tuple(n for n in work.nodes if n not in use.held)
    known = applicable_on(_hardware(work))
    if work.gates:
        unknown = [g for g in work.gates if g not in (*known.active, *known.passive)]
        if unknown:
            there = ", ".join((*known.passive, *known.active))
            raise UsageError(
                f"no gate {unknown[0]!r} applies to {work.cluster.name}", hint=f"there are: {there}"
            )
        _missed(work, work.gates, use.held)
        return [("gate", work.gates, free)] if free else []
    _missed(work, known.passive, use.held)
    wanted = [("passive", known.passive, free)]
    if PROFILES[work.profile].active:
        _missed(work, known.active, {**use.held, **use.busy})
        idle = tuple(n for n in free if n not in use.busy)
        alone = paired(_hardware(work)) if len(idle) == 1 and not _partners(work, idle) else frozenset[str]()
        _missed(work, sorted(alone), dict.fromkeys(idle, "no other node is free to meet it"))
        wanted.append(("active", tuple(g for g in known.active if g not in alone), idle))
    return [w for w in wanted if w[2]]


def _only(work: Work, gates: Sequence[str], nodes: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Gates that not every node's hardware needs, with the nodes that they judge."""
    hardware = _hardware(work)
    known = {node: applicable(hardware.of(node)) for node in nodes}
    judged = {
        gate: tuple(node for node, of in known.items() if gate in (*of.active, *of.passive)) for gate in gates
    }
    return {gate: mine for gate, mine in judged.items() if mine != tuple(nodes)}


def _partners(work: Work, judged: Sequence[str]) -> tuple[str, ...]:
    """Nodes that are not asked about and free, whom a judged one may meet; those that the cluster file names first."""
    others = [n for n in dict.fromkeys((*work.cluster.partners, *work.cluster.gpu)) if n not in judged]
    use = gate_held.in_use(work.kubeconfig, work.cluster, others) if others else None
    return tuple(n for n in others if use and n not in use.held and n not in use.busy)


def _missed(work: Work, gates: Sequence[str], nodes: Mapping[str, str]) -> None:
    """Note gates that do not run on nodes in use (node -> why), with what earlier results are worth."""
    hardware, now = _hardware(work), SystemClock().now()
    earlier = gate_held.earlier(work.folder.parent, work.cluster.name) if nodes else []
    for node, why in nodes.items():
        known = hardware.of(node).gates
        needed = [gate for gate in gates if gate in known]
        work.not_run += not_run(known, needed, {node: why}, earlier, work.release.name, now)


def _hardware(work: Work) -> Hardware:
    """The nodes' profiles; each asks for the images where the cluster file has a registry."""
    found = work.source.hardware(work.cluster)
    return found if work.cluster.registry is None else with_images(found)


def _place(work: Work) -> Place:
    return Place(
        matrix_folder=work.source.folder,
        matrix=work.source.matrix,
        cluster=work.cluster,
        hardware=_hardware(work),
        release=work.release,
        kubeconfig=work.kubeconfig,
        folder=work.folder,
        run_id=work.folder.name,
    )


def key_of(result: GateResult) -> str:
    """A baseline's key: `<gate>/<node>`."""
    return f"{result.gate}/{result.node}"


def keep(work: Work, file: Path) -> None:
    """Write a baseline file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    value = {
        "schema": SCHEMA,
        "cluster": work.cluster.name,
        "release": work.release.name,
        "time": SystemClock().now(),
        **work.kept,
        "figures": to_json(work.figures),
    }
    file.write_text(json.dumps(value, indent=2) + "\n")
    say(f"baseline kept in {file}", err=True)


def read(file: Path, cluster: str) -> Object:
    """Read a baseline file; UsageError where it is none, or another cluster's."""
    try:
        value = dict(json.loads(file.read_text()))
    except (OSError, ValueError, TypeError) as error:
        raise UsageError(
            f"no baseline can be read: {error}", where=str(file), hint=f"knowngood gate {cluster} --baseline"
        ) from error
    if value.get("schema") != SCHEMA or value.get("cluster") != cluster:
        raise UsageError(f"this is no baseline of {cluster}", where=str(file), hint="name another file")
    return value
