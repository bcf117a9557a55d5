"""`knowngood gate`: judge a cluster and change nothing; also before and after an upgrade done by hand."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from knowngood.adapters.clock import SystemClock
from knowngood.cli import gate_author, gate_work
from knowngood.cli.asking import end_if_dry
from knowngood.cli.matrix_source import kubeconfig_of, load, pick
from knowngood.cli.options import Settings, dry_run_option, run_options
from knowngood.cli.play import check_cluster
from knowngood.cli.terminal import say, say_json
from knowngood.matrix.locate import gates_dir, own_gates
from knowngood.model.errors import ExitCode, UsageError
from knowngood.model.jsonable import to_json
from knowngood.model.text import as_json, page
from knowngood.model.verdict import Verdict, worst
from knowngood.planner.freshness import NotRun
from knowngood.planner.gates import PROFILES
from knowngood.report import ctrf
from knowngood.report.junit import document
from knowngood.report.summary import JudgementLine
from knowngood.report.text import columns, count_rows

EXITS = {
    Verdict.PASS: ExitCode.DONE,
    Verdict.FAIL: ExitCode.REFUSED,
    Verdict.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """The command line. `baseline` and `since`: None not given, "" the usual place."""

    cluster: str | None
    name: str | None
    gates: tuple[str, ...]
    nodes: tuple[str, ...]
    profile: str
    release: str | None
    baseline: str | None
    since: str | None
    out: Path | None
    listing: bool
    output: str


@click.command("gate")
@click.argument("cluster", required=False)
@click.argument("name", required=False)
@click.option("--gate", "gates", metavar="NAME", multiple=True, help="Only this gate; may be repeated.")
@click.option("--node", "nodes", metavar="NODE", multiple=True, help="Only this node; may be repeated.")
@click.option(
    "--profile",
    type=click.Choice(list(PROFILES)),
    default="passive",
    show_default=True,
    help="Which gates, and how long they may take: see below.",
)
@click.option("--release", metavar="RELEASE", help="What must run.  [default: the cluster's pinned release]")
@click.option(
    "--baseline", metavar="[FILE]", is_flag=False, flag_value="", help="Keep the figures for --since."
)
@click.option(
    "--since", metavar="[FILE]", is_flag=False, flag_value="", help="Judge against a kept baseline."
)
@click.option("--out", metavar="DIR", type=click.Path(path_type=Path), help="Keep everything in this folder.")
@click.option("--list", "listing", is_flag=True, help="List the gates, with what they prove.")
@dry_run_option
@run_options
def command(settings: Settings, /, **words: Any) -> int:
    """Run gates against a cluster; changes nothing.

    Passive gates only read and may run at any time; active ones compute on idle GPUs. --profile passive and wave run
    the passive ones (wave within 10 minutes: between two waves), canary, full and nightly the active ones too, on
    nodes where no tenant works (canary within 30 minutes, full within 2 hours, passive and nightly as long as the
    cluster's judgeSeconds). `gate new NAME` lays out a new gate with its test in --out, or here;
    with --dry-run it says which files.

    For an upgrade by hand take a --baseline before it and judge --since it afterwards: only what happened after the
    baseline counts, and figures are compared with those of the same node. Writes JUnit, CTRF and JSON into its folder.

    A node that a run holds is left out and named, and active gates run on nodes where no tenant works and no run may
    come. A required gate that did not run on a node is inconclusive, unless the profile's `withinDays` for that gate
    says how old its last pass there may be, and the summaries kept beside this one (--out A/B: in A) know a newer one.

    \b
    Examples:
      knowngood gate --list
      knowngood gate new storage_mounts --out ops
      knowngood gate ams-prod --kubeconfig ~/.kube/ams-prod
      knowngood gate ams-prod --node gpu-3 --gate gpu_errors
      knowngood gate ams-prod --baseline            then upgrade by hand, then
      knowngood gate ams-prod --since --release r595

    \b
    Exit codes: 0 all pass, 1 at least one fail, 2 usage, 3 inconclusive (nothing failed, something could not be told)
    """
    asked = Asked(**words)
    if asked.cluster == "new":
        return _new(asked)
    if settings.dry_run:
        raise UsageError("--dry-run is for gate new NAME", hint="judging changes nothing but its own folder")
    if asked.name is not None:
        raise UsageError(
            f"{asked.name!r} is one word too many", hint="knowngood gate CLUSTER, or gate new NAME"
        )
    if asked.listing:
        return _list(settings, asked)
    work = _work(settings, asked)
    note = check_cluster(work.cluster, work.kubeconfig)
    if note:
        say(f"{work.cluster.name} pins no identity: nothing here is evidence", err=True)
    began = time.monotonic()
    kept = settings.runs.parent / "baselines" / f"{asked.cluster}.json"
    since = None if asked.since is None else Path(asked.since or kept)
    lines = gate_work.judge(work, since=since, taking=asked.baseline is not None)
    verdict = verdict_of(work, lines)
    if asked.baseline is not None and verdict is Verdict.PASS:
        gate_work.keep(work, Path(asked.baseline or kept))
    _report(work, lines, verdict, asked.output, time.monotonic() - began, since)
    return int(EXITS[verdict])


def _work(settings: Settings, asked: Asked) -> gate_work.Work:
    """What to judge; UsageError for names that are not there."""
    if asked.cluster is None:
        raise UsageError("which cluster?", hint="knowngood gate CLUSTER; knowngood show clusters lists them")
    if asked.baseline is not None and asked.since is not None:
        raise UsageError(
            "--baseline and --since exclude each other", hint="take the one, upgrade, use the other"
        )
    source = load(settings)
    cluster = source.cluster(asked.cluster)
    for node in asked.nodes:
        pick(dict.fromkeys(cluster.gpu), node, "GPU node", Path(cluster.where.file))
    return gate_work.Work(
        source=source,
        cluster=cluster,
        release=source.release(asked.release or cluster.release),
        kubeconfig=kubeconfig_of(settings),
        folder=asked.out or settings.runs.parent / "gates" / gate_work.new_id(),
        nodes=asked.nodes or cluster.gpu,
        gates=asked.gates,
        profile=asked.profile,
    )


def verdict_of(work: gate_work.Work, lines: Sequence[JudgementLine]) -> Verdict:
    """The worst of what ran; a required gate that did not run, and is not known to be fresh, is inconclusive."""
    stale = [Verdict.INCONCLUSIVE] if not lines or any(not n.fresh for n in work.not_run) else []
    return worst([*(Verdict(line.verdict) for line in lines), *stale])


def _report(
    work: gate_work.Work,
    lines: Sequence[JudgementLine],
    verdict: Verdict,
    output: str,
    seconds: float,
    since: Path | None = None,
) -> None:
    """JUnit, CTRF and JSON into the folder, the result on stdout."""
    name, ended = work.cluster.name, SystemClock().now()
    suites = [(line.step, line) for line in lines]
    command = _again(work, since)
    again = [ctrf.rerun(command, g) for line in lines for g in line.results if g.verdict != Verdict.PASS]
    (work.folder / "junit.xml").write_text(document(f"knowngood gate {name}", suites, seconds, work.not_run))
    (work.folder / "ctrf.json").write_text(ctrf.document(suites, seconds, ended, work.not_run, command))
    result = {"schema": 1, "cluster": name, "release": work.release.name, "time": ended, "again": again}
    result |= {"verdict": verdict.value, "judgements": to_json(lines), "not_run": to_json(work.not_run)}
    text = as_json(result)
    (work.folder / "summary.json").write_text(text)
    told = [f"{name}: {verdict}", *_text(lines), *_missed(work.not_run)]
    told += ["", "once more", *again] if again else []
    say(text if output == "json" else page(told))
    say(f"kept in {work.folder}", err=True)


def _again(work: gate_work.Work, since: Path | None) -> str:
    """How the same is asked once more of this cluster; the gate and its node follow."""
    words = ["knowngood", "gate", work.cluster.name]
    words += ["--release", work.release.name] if work.release.name != work.cluster.release else []
    words += ["--kubeconfig", str(work.kubeconfig)] if work.kubeconfig else []
    words += [f"--since={since}"] if since else []
    return shlex.join(words)


def _text(lines: Sequence[JudgementLine]) -> list[str]:
    """A line a gate and node, then a line a judgement."""
    rows = [(g.gate, g.node or "cluster", g.verdict, g.reason) for line in lines for g in line.results]
    return [*columns(rows), "", *columns(count_rows(lines))]


def _missed(found: Sequence[NotRun]) -> list[str]:
    """What did not run, node by node, and whether what is known is recent enough."""
    rows = [(n.gate, n.node, "fresh" if n.fresh else "inconclusive", n.sentence()) for n in found]
    return ["", "not run", *columns(rows)] if rows else []


def _new(asked: Asked) -> int:
    """Lay out a gate and its test."""
    if asked.name is None:
        raise UsageError("which name has the new gate?", hint="knowngood gate new NAME")
    files = gate_author.laid_out(asked.name, asked.out or Path())
    end_if_dry(f"would write {' and '.join(map(str, files))}")
    gate, test = gate_author.write(asked.name, files)
    say(page([str(gate), str(test)]))
    say(f"  next: pytest {test}, then name {asked.name} in a profile's gates", err=True)
    return 0


def _list(settings: Settings, asked: Asked) -> int:
    """Each gate: what it proves, needs and means, and in which way it runs."""
    source = load(settings)
    hardware = source.hardware(source.cluster(asked.cluster)) if asked.cluster else None
    rows = []
    own = own_gates(source.folder)
    files = {file.stem: file for folder in (own, gates_dir()) if folder for file in folder.glob("[!_]*.py")}
    for _, file in sorted(files.items()):
        kinds = [p.gates[file.stem]["kind"] for p in source.matrix.profiles.values() if file.stem in p.gates]
        if hardware and not any(file.stem in profile.gates for profile in hardware.profiles):
            continue
        parts = gate_author.told(file)
        row = {"gate": file.stem, "kind": kinds[0] if kinds else "in no profile", "proves": parts["says"]}
        rows.append(
            {**row, **{part: parts[part] for part in ("needs", "fail", "inconclusive", "thresholds")}}
        )
    if asked.output == "json":
        say_json({"gates": rows})
    else:
        say(page([line for row in rows for line in _entry(row)]))
    return 0


def _entry(row: dict[str, str]) -> list[str]:
    """One gate in a few lines."""
    parts = [(part, row[part]) for part in ("needs", "fail", "inconclusive") if row[part]]
    return [f"{row['gate']} ({row['kind']}): {row['proves']}", *columns(parts), ""]
