"""What `knowngood fleet` knows of its clusters: where each goes, how it is reached, and what its run is told."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from knowngood.adapters.clock import SystemClock
from knowngood.cli.matrix_source import Source, pick
from knowngood.cli.options import Settings
from knowngood.cli.told import of_cluster, open_one
from knowngood.matrix.evidence import evidence_about
from knowngood.model.errors import KnowngoodError, Refused, UsageError
from knowngood.model.hardware import pools_of
from knowngood.model.plan import Plan
from knowngood.model.run_summary import RunSummary
from knowngood.planner.consent import Consent, without_canary
from knowngood.planner.plan.planning import plan
from knowngood.planner.stages import (
    Doubt,
    aged,
    aims,
    doubts,
    pinned,
    proven_before,
    standing_doubts,
    there,
    unproven,
)
from knowngood.report.fleet_text import Row, move_text

NAMES = ("{}", "{}.kubeconfig", "{}.yaml", "{}.conf")
"""How a cluster's kubeconfig may be called in their folder."""

REFUSED = "refused: "
UNPROVEN = "pinned, not proven"
FAILED_THERE = "pinned, and failed there"


def staged(source: Source) -> Source:
    """The source; UsageError where it has no stages."""
    if not source.matrix.stages:
        raise UsageError(
            "the matrix names no stages",
            where=str(source.folder / "fleet.yaml"),
            hint="stages: [{name: staging, clusters: [NAME]}, ...]; docs/matrix.md has an example",
        )
    return source


def aims_of(source: Source, wanted: Sequence[str]) -> dict[str, str]:
    """Where each cluster goes; UsageError also for a release that is not there."""
    for text in wanted:
        source.release(text.rpartition("=")[2])
    return aims(source.matrix, source.matrix.stages, wanted)


@dataclass(frozen=True, slots=True)
class Reached:
    """How each cluster is reached: `folder` has a kubeconfig for each, called as the cluster."""

    settings: Settings
    folder: Path

    def of(self, cluster: str) -> Settings:
        """The settings for one cluster; UsageError where there is no kubeconfig."""
        found = [p for n in NAMES if (p := self.folder / n.format(cluster)).is_file()]
        if not found:
            raise UsageError(
                f"there is no kubeconfig for {cluster}",
                where=str(self.folder),
                hint=f"put it there as {cluster}, or name the folder: --kubeconfigs DIR",
            )
        return replace(self.settings, kubeconfig=found[0])

    def open_run(self, cluster: str) -> RunSummary | None:
        """The run that is open there. Unreachable and the like."""
        return open_one(of_cluster(self.of(cluster)))

    def last_run(self, cluster: str) -> str:
        """The run that somebody must know of there, in words. Unreachable and the like."""
        runs = of_cluster(self.of(cluster))
        run = open_one(runs) or next(iter(runs), None)
        if run is None:
            return "none"
        how = f"{run.end} {run.updated}" if run.end else f"open since {run.started}, at {run.step}"
        return f"{run.run} → {run.to_release}: {how}"


def row_of(source: Source, cluster: str) -> Row:
    """A cluster by its file."""
    found = source.matrix.clusters[cluster]
    return Row(cluster, ", ".join(pools_of(found)), found.release)


def doubts_of(source: Source, releases: Mapping[str, str]) -> dict[str, Doubt]:
    """Clusters that are pinned to where they go, without evidence that it ran there, with the reason."""
    return doubts(source.matrix, releases, evidence_about(source.folder))


def proven(source: Source, releases: Mapping[str, str], believed: Collection[str]) -> frozenset[str]:
    """The clusters that are proven where they go. `believed`: whose pin will do, by a person."""
    return there(source.matrix, releases, evidence_about(source.folder), believed)


def planned_rows(
    source: Source, releases: Mapping[str, str], believed: Collection[str] = ()
) -> dict[str, Row]:
    """What the move does to each cluster, and what it needs a yes for.

    `note` begins with `refused` where one can't go, or is pinned there and nothing proves it.
    """
    doubted = standing_doubts(doubts_of(source, releases), believed)
    clusters = [name for stage in source.matrix.stages for name in stage.clusters]
    rows = {name: _row(source, releases, name, doubted.get(name)) for name in clusters}
    old = aged(source.matrix, releases, evidence_about(source.folder), SystemClock().now())
    return rows | {name: replace(rows[name], note=note) for name, note in old.items()}


def refuse_doubts(rows: Mapping[str, Row]) -> None:
    """Refused where a cluster is pinned to where it goes and nothing proves it: no later stage may lean on that."""
    doubted = [row for row in rows.values() if row.told == UNPROVEN]
    failed = [row for row in rows.values() if row.told == FAILED_THERE]
    if not doubted and not failed:
        return
    why = "; ".join(f"{row.cluster}: {row.note.removeprefix(REFUSED)}" for row in (*failed, *doubted))
    hint = " ".join(f"--accept-pin {row.cluster}" for row in doubted) + " takes the pin for a proof"
    if failed:
        hint = "look at that run (knowngood status RUN): no pin outweighs a fail, only newer evidence does"
    raise Refused(f"pinned to where they go, and not proven: {why}", hint=hint)


def _row(source: Source, releases: Mapping[str, str], cluster: str, doubt: Doubt | None) -> Row:
    row = row_of(source, cluster)
    release = releases.get(cluster)
    if release is None:
        return replace(row, told="not meant for this hardware")
    if doubt:
        return replace(row, told=FAILED_THERE if doubt.failed else UNPROVEN, note=f"{REFUSED}{doubt.why}")
    if release == row.release:
        return replace(row, told="proven")
    try:
        made = plan(source.matrix, cluster, release)
    except KnowngoodError as error:
        return replace(row, told=f"→ {release}: no plan", note=f"{REFUSED}{error}")
    return replace(row, told=move_text(made), note=_needs(source, releases, made))


def _needs(source: Source, releases: Mapping[str, str], made: Plan) -> str:
    before = proven_before(source.matrix, source.matrix.stages, releases, made.cluster)
    open_ = unproven(made, evidence_about(source.folder), SystemClock().now(), before)
    told = []
    if open_:
        told.append("no canary goes first: " + " ".join(f"--accept-no-canary {name}" for name in open_))
    elif before and without_canary(made):
        told.append(f"what has no canary is proven on {' and '.join(before)} first")
    if closed := [hop.name for hop in made.hops if hop.closed]:
        told.append(f"{', '.join(closed)} can't be undone: --accept-forward-only")
    return "; ".join(told)


def refuse_strange(source: Source, releases: Mapping[str, str], consent: Consent) -> None:
    """UsageError for a yes to what no cluster's move does: no run would ever hear of it.

    A part of the fleet may be there already, so that what is left does less than what somebody said yes to before.
    """
    for name in sorted(consent.no_canary):
        pick(source.matrix.components, name, "component", source.folder / "components")
    some = pinned(source.matrix, releases)
    try:
        plans = [plan(source.matrix, cluster, release) for cluster, release in releases.items()]
    except KnowngoodError:
        return  # that cluster's own turn says why
    moved = {m.component for made in plans for m in without_canary(made)}
    if strange := sorted(consent.no_canary - moved) if not some else []:
        raise UsageError(
            f"--accept-no-canary {strange[0]}: no cluster's move brings it without a canary",
            hint="knowngood fleet plan with the same --to says what each of them needs",
        )


def refuse_strange_pins(source: Source, releases: Mapping[str, str], believed: Collection[str]) -> None:
    """UsageError for a yes to the pin of a cluster that is not of this move, or not pinned to where it goes."""
    for name in sorted(believed):
        pick(releases, name, "cluster of this move", source.folder / "fleet.yaml")
        if (pin := source.matrix.clusters[name].release) != releases[name]:
            raise UsageError(
                f"--accept-pin {name}: it is pinned to {pin}, not to {releases[name]}",
                hint=f"leave it out: {name} moves as the others do",
            )


@dataclass(frozen=True, slots=True)
class Order:
    """What every cluster's run is told alike: where its record goes, and what was said yes to.

    `believed`: clusters whose pin is taken for a proof; no run of theirs begins.
    """

    record: str
    consent: Consent
    believed: frozenset[str] = frozenset()

    def arguments(self, reached: Reached, source: Source, cluster: str, release: str) -> list[str]:
        """Go on with the run that is open on a cluster, or begin one. Refused where that one goes somewhere else."""
        at = reached.of(cluster)
        where = [
            "--matrix",
            str(source.folder),
            "--kubeconfig",
            str(at.kubeconfig),
            "--runs-dir",
            str(at.runs),
        ]
        open_ = reached.open_run(cluster)
        if open_ is not None and open_.to_release != release:
            raise Refused(
                f"run {open_.run} to {open_.to_release or 'another release'} is open on {cluster}",
                hint=f"knowngood status {open_.run} --kubeconfig {at.kubeconfig}",
            )
        if open_ is not None:
            return [*where, "resume", open_.run, "--output", "json"]
        said = ["--accept-forward-only"] if self.consent.forward_only else []
        said += ["--try-again"] if self.consent.try_again else []
        moved = {m.component for m in without_canary(plan(source.matrix, cluster, release))}
        for name in sorted(self.consent.no_canary & moved):
            said += ["--accept-no-canary", name]
        to = ("--record", f"branch={self.record}")
        return [*where, "upgrade", cluster, "--to", release, "--yes", "--output", "json", *to, *said]
