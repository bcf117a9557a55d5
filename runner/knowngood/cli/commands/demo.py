"""`knowngood demo`: an upgrade that is proven, one that is undone, a coupled one that is undone. An oracle checks."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path

import click

from knowngood.adapters.stage import Stage
from knowngood.cli.matrix_source import Source, load
from knowngood.cli.options import SHIPPED, Settings, debug_option, matrix_option, output_option
from knowngood.cli.play import advise
from knowngood.cli.staging import new_folder, staged, upgrade
from knowngood.cli.terminal import program, say
from knowngood.model.errors import ExitCode
from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Cluster
from knowngood.model.text import Page, as_json, page
from knowngood.model.values import Object
from knowngood.planner.gates import paired
from knowngood.rehearsal import confirm
from knowngood.report.demo_text import Act, demo_text
from knowngood.report.html import html
from knowngood.report.junit import junit_of
from knowngood.report.summary import Summary

CLUSTER = "ams-prod"
PROVEN, UNDONE = "r595", "r610"
COUPLED, TOGETHER = "lab-rdma", "r595"
"""A cluster that declares NIC driver and settings of the driver's pod ring by ring, and what moves all of them."""
FAULT = "xid-31-after-driver"
DRIVER = "nvidia-driver"
MODULES = ("mlx5_core", "nvidia")
"""What each canary node loads anew in act 3, forth and back."""
SCALE = 3600.0
"""An hour of soak becomes a second, so that all acts fit into three minutes on two cores."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What an act is played on."""

    stage: Stage
    source: Source
    cluster: Cluster

    def driver(self, release: str) -> str:
        """The driver's version in a release."""
        return self.source.release(release).components[DRIVER]

    @property
    def canary(self) -> tuple[str, ...]:
        """The nodes of the first ring."""
        return self.cluster.rings[0].nodes

    def run(self, summary: Summary) -> Path:
        """The folder of a run that was played here."""
        return self.stage.runs / summary.run

    def read(self, snapshot: Path) -> Object:
        """A snapshot of the oracle."""
        found: Object = json.loads(snapshot.read_text())
        return found


@click.command("demo")
@click.option(
    "--out",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("demo"),
    show_default=True,
    help="A new folder in it keeps everything.",
)
@matrix_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(settings: Settings, out: Path, output: str) -> int:
    """Play an upgrade and two undos on the embedded cluster, and check each.

    Act 1 moves the example cluster ams-prod from r580 to r595: canary ring, gates, soak, further rings, promoted as
    rehearsed. Act 2 goes on to r610 with a fault on a canary node: the gate fails, the commit is reverted, Argo CD
    brings the old driver back, and everything is proven to be as before. Act 3 moves a smaller cluster, lab-rdma, from
    r580-peermem to r595: NIC driver, GPU driver, open kernel modules and DMA-BUF come with one drain, and with one they
    all go back. An oracle outside the program looks at the cluster before and after each act. Needs no cluster, no GPU
    and no network.

    \b
    Examples:
      knowngood demo
      knowngood demo --out /tmp/demo --output json

    \b
    Exit codes: 0 all acts ended as they should and the oracle agrees, 1 they did not, 130 interrupted
    """
    began = time.monotonic()
    source = load(replace(settings, matrix=settings.matrix or SHIPPED))
    folder = new_folder(out)
    acts: tuple[Act, ...] = ()
    histories = {}
    for cluster, where, parts in ((CLUSTER, folder, (first, second)), (COUPLED, folder / COUPLED, (third,))):
        found = source.cluster(cluster)
        meets = paired(source.hardware(found))  # every batch's meeting would make the acts half as long again
        with staged(source, found, where, SCALE, meets) as stage:
            acts += tuple(part(Scene(stage, source, found)) for part in parts)
            histories[cluster] = stage.history()
    said = program()
    then = (f"{said} status --runs-dir {folder / 'runs'}", f"{said} plan {CLUSTER} --to {PROVEN}")
    for act in acts:
        advise(act.folder, act.summary, then)
    summaries = [act.summary for act in acts]
    seen = {act.summary.run: act.seen for act in acts}
    (folder / "report.html").write_text(html(summaries, title="knowngood demo", then=then, seen=seen))
    (folder / "junit.xml").write_text(junit_of(summaries))
    (folder / "summary.json").write_text(_json(acts, histories))
    if output == "json":
        say(_json(acts, histories))
    else:
        say(demo_text(acts, folder, time.monotonic() - began, then))
    return int(ExitCode.DONE if all(act.good for act in acts) else ExitCode.REFUSED)


def first(scene: Scene) -> Act:
    """An upgrade that is proven."""
    say(page(["", f"Act 1: {CLUSTER} to {PROVEN}"]), err=True)
    before = scene.read(scene.stage.snapshot("1-before"))
    summary = upgrade(scene.stage, CLUSTER, PROVEN)
    after = scene.read(scene.stage.snapshot("1-after"))
    against = confirm.done(before, after, scene.cluster.gpu, scene.driver(PROVEN))
    recorded = summary.record is not None and not summary.record.undelivered
    ended_well = summary.end == "done" and summary.status == "rehearsed" and recorded
    return Act("an upgrade that is proven", "done", summary, ended_well, against, scene.run(summary))


def second(scene: Scene) -> Act:
    """An upgrade that is undone."""
    say(page(["", f"Act 2: {CLUSTER} to {UNDONE}, with {FAULT} on {scene.canary[0]}"]), err=True)
    summary, against = undone(scene, 2, UNDONE)
    ended_well = summary.end == "restored"
    return Act("an upgrade that is undone", "restored", summary, ended_well, against, scene.run(summary))


def third(scene: Scene) -> Act:
    """A hop of several components that is undone: one drain forth, and the same one back."""
    say(page(["", f"Act 3: {COUPLED} to {TOGETHER}, with {FAULT} on {scene.canary[0]}"]), err=True)
    summary, against = undone(scene, 3, TOGETHER)
    history = scene.stage.history()
    return Act(
        "several components in one hop, undone together",
        "restored",
        summary,
        summary.end == "restored",
        (*against, *confirm.together(history, MODULES, scene.canary)),
        scene.run(summary),
        confirm.lived(history, MODULES, scene.canary),
    )


def undone(scene: Scene, number: int, release: str) -> tuple[Summary, tuple[str, ...]]:
    """An upgrade that meets a fault on its canary, and what the oracle has against `restored`."""
    scene.stage.fault(FAULT, scene.canary[0], {"version": scene.driver(release)})
    before = scene.stage.snapshot(f"{number}-before")
    summary = upgrade(scene.stage, scene.cluster.name, release)
    after = scene.stage.snapshot(f"{number}-after")
    against = (
        *confirm.restored(scene.stage.differences(before, after), scene.read(after)),
        *confirm.unproven(scene.stage.history(), scene.driver(release), scene.canary),
    )
    return summary, against


def _json(acts: tuple[Act, ...], histories: Object) -> Page:
    rows = [
        {
            "title": a.title,
            "good": a.good,
            "oracle_against": list(a.against),
            "oracle_saw": list(a.seen),
            "run": to_json(a.summary),
        }
        for a in acts
    ]
    return as_json({"schema": 1, "good": all(a.good for a in acts), "acts": rows, "oracle": histories})
