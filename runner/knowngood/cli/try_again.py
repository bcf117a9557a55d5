"""A release that failed here, or on this hardware: refused before anything is written, unless --try-again says so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from knowngood.cli.matrix_source import Source
from knowngood.matrix.evidence import evidence_about
from knowngood.model.errors import KnowngoodError, Refused
from knowngood.model.plan import Plan
from knowngood.model.values import Object, Values
from knowngood.planner.again import (
    LONGEST,
    SHOWN,
    Attempt,
    Failure,
    against,
    differences,
    of_evidence,
    standing,
    told,
)

KEPT = 240
"""Characters of the differences that record 0 keeps of one failure; the plan's warnings have them all."""


@dataclass(frozen=True, slots=True)
class History:
    """What is known against a plan's release. `own`: it is an earlier state of this very cluster."""

    failures: tuple[Failure, ...]
    own: bool

    def bars(self, plan: Plan) -> tuple[Failure, ...]:
        """Those that refuse an upgrade."""
        return against(self.failures, plan.cluster, own=self.own)


def history(source: Source, plan: Plan, kubeconfig: Path | None) -> History:
    """By the matrix's evidence, and by the runs that the cluster knows of, where one is named."""
    cluster = source.cluster(plan.cluster)
    evidence = evidence_about(source.folder, plan.to_release)
    failures, proofs = of_evidence(evidence, plan.to_release, plan.profiles)
    own = cluster.release == plan.to_release
    if kubeconfig is not None:
        # The clients of clusters take 0.2 s to import, which a plan from files need not wait for.
        from knowngood.cli.wiring import checkpoint  # noqa: PLC0415
        from knowngood.engine.earlier import tries  # noqa: PLC0415

        runs = checkpoint(kubeconfig)
        failed, proven = tries(runs, plan.to_release)
        failures, proofs = [*failed, *failures], [*proven, *proofs]
        own = own or any(run.changed and run.from_release == plan.to_release for run in runs.runs())
    return History(standing(failures, proofs, plan.cluster), own)


def warned(source: Source, plan: Plan, kubeconfig: Path | None) -> Plan:
    """The plan, with what is known against its release among its warnings."""
    found = history(source, plan, kubeconfig) if plan.hops else History((), own=False)
    bars = found.bars(plan)
    lines = [
        f"{plan.to_release} failed {failure.sentence}"
        + ("; upgrade refuses it without --try-again" if failure in bars else "")
        for failure in found.failures[:SHOWN]
    ]
    return replace(plan, warnings=(*plan.warnings, *lines))


def heeded(
    source: Source, plan: Plan, kubeconfig: Path, *, try_again: bool, back: bool = False
) -> tuple[Plan, Object]:
    """The plan with what is different now among its warnings, and what record 0 keeps of that.

    Refused where the release failed before and nobody said --try-again; never where the cluster goes `back`, and
    there a history that can't be read bars nothing either.
    """
    try:
        found = history(source, plan, kubeconfig)
    except KnowngoodError as error:
        if not back:
            raise
        unread = f"what earlier runs say of {plan.to_release} can't be read: {error}"
        return replace(plan, warnings=(*plan.warnings, unread)), {}
    bars = found.bars(plan)
    if bars and not (try_again or back):
        raise _refused(plan, bars)
    if not found.failures:
        return plan, {}
    shown = found.failures[:SHOWN]
    attempt = _attempt(source, plan, kubeconfig, shown)
    different = {failure.run: differences(failure, attempt) for failure in shown}
    what = "is gone back to" if back else "is tried again" if bars else "ran here before"
    lines = [f"{plan.to_release} {what}: {told(failure, different[failure.run])}" for failure in shown]
    return replace(plan, warnings=(*plan.warnings, *lines)), {
        "again": [_kept(failure, different[failure.run]) for failure in shown]
    }


def _kept(failure: Failure, different: tuple[str, ...]) -> Values:
    return {
        "run": failure.run,
        "cluster": failure.cluster,
        "time": failure.time,
        "because": failure.because[: LONGEST // 2],
        "different": ("; ".join(different) or "nothing")[:KEPT],
    }


def _attempt(source: Source, plan: Plan, kubeconfig: Path, failures: tuple[Failure, ...]) -> Attempt:
    from knowngood.adapters.gitops.gate_suite import suite_of  # noqa: PLC0415 (as in `history`)
    from knowngood.cli.wiring import reader  # noqa: PLC0415
    from knowngood.matrix.locate import gates_dir, own_gates  # noqa: PLC0415

    images: Mapping[str, Mapping[str, str]] = {}
    if any(failure.images for failure in failures):
        seen = reader(kubeconfig, source.cluster(plan.cluster)).observe(plan.nodes, plan.movers)
        images = {name: dict(state.images) for name, state in seen.items() if state.images}
    suite = suite_of(gates_dir(), own_gates(source.folder))
    return Attempt(plan.from_release, suite.digest, plan.to_versions, plan.nodes, images)


def _refused(plan: Plan, bars: tuple[Failure, ...]) -> Refused:
    more = f" (and in {len(bars) - SHOWN} more runs)" if len(bars) > SHOWN else ""
    where = "; ".join(failure.sentence for failure in bars[:SHOWN])
    return Refused(
        f"{plan.to_release} failed {where}{more}; nothing was changed",
        hint="mend what failed, or go to another release; --try-again goes there once more and says what is different",
    )
