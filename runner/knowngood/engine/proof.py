"""Evidence: what a finished run proved, and how much that counts. Pure but for reading the journal's files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from knowngood.engine.ports import Ports
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.matrix import Cluster, Profile, Status
from knowngood.model.node import Workload
from knowngood.model.plan import Plan
from knowngood.model.state import RunState, verb_of
from knowngood.model.verdict import GateResult, Judgement, Verdict


def not_running(workloads: Iterable[Workload]) -> dict[str, list[str]]:
    """Tenant -> workloads with fewer ready than desired."""
    waiting: dict[str, list[str]] = {}
    for w in workloads:
        if w.ready < w.desired:
            waiting.setdefault(w.tenant, []).append(f"{w.namespace}/{w.name} {w.ready}/{w.desired}")
    return waiting


def counts_as(
    cluster: Cluster, profile: Profile, identity_matches: bool, results: Iterable[GateResult]
) -> tuple[Status, str]:
    """The status a passed run earns, and why: `known-good` only on the pinned cluster and real backends."""
    if cluster.identity is None:
        return Status.REHEARSED, "the cluster file pins no identity"
    if not identity_matches:
        return Status.REHEARSED, "this is not the cluster that the cluster file pins"
    for result in results:
        wanted = str(profile.gates.get(result.gate, {}).get("backend", ""))
        if result.backend != wanted:
            return Status.REHEARSED, f"{result.gate} ran on {result.backend or 'no backend'}, not on {wanted}"
        if result.verdict is not Verdict.PASS:
            return Status.REHEARSED, f"{result.gate} on {result.node}: {result.verdict}"
    return Status.KNOWN_GOOD, "every gate passed on the pinned cluster"


def evidence(
    plan: Plan,
    cluster: Cluster,
    profile: Profile,
    run: str,
    state: RunState,
    ports: Ports,
    load: Callable[[str], Any],
) -> dict[str, Any]:
    """The evidence file of a run that passed every gate (JSON values)."""
    results = final_results(state, load)
    identity = ports.cluster.identity()
    status, because = counts_as(cluster, profile, identity == cluster.identity, results)
    return {
        "run": run,
        "cluster": plan.cluster,
        "profile": plan.profile,
        "release": plan.to_release,
        "from": plan.from_release,
        "versions": dict(plan.to_versions),
        "matrixCommit": plan.matrix_commit,
        "identity": to_json(identity),
        "status": status.value,
        "because": because,
        "time": ports.clock.now(),
        "commits": commits(state),
        "verdicts": [
            {"gate": r.gate, "node": r.node, "verdict": r.verdict.value, "backend": r.backend}
            for r in results
        ],
    }


def final_results(state: RunState, load: Callable[[str], Any]) -> tuple[GateResult, ...]:
    """The last result of each gate on each node, from judgements after the change."""
    last: dict[tuple[str, str], GateResult] = {}
    for path in state.intended:
        result = state.results.get(path)
        judged = verb_of(path) in ("judge", "retest", "confirm", "prove")
        if result and judged and "judgement" in result.files:
            for r in from_json(Judgement, load(result.files["judgement"])).results:
                last[(r.gate, r.node)] = r
    return tuple(last.values())


def commits(state: RunState) -> list[Mapping[str, str]]:
    """The commits a run pushed to the GitOps repository, in order."""
    return [
        {"step": path, "commit": str(state.results[path].detail["commit"])}
        for path in state.intended
        if path.endswith("/declare") and path in state.results and state.results[path].detail.get("commit")
    ]
