"""`knowngood demo`: an upgrade that is proven, then one that is undone, both checked by the oracle."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path

import click

from knowngood.adapters.stage import Stage
from knowngood.cli.matrix_source import Source, load
from knowngood.cli.options import Settings, debug_option, matrix_option, output_option
from knowngood.cli.play import advise
from knowngood.cli.staging import new_folder, staged, upgrade
from knowngood.cli.terminal import say
from knowngood.model.errors import ExitCode
from knowngood.model.jsonable import to_json
from knowngood.model.text import Page, as_json, page
from knowngood.model.values import Object
from knowngood.rehearsal import confirm
from knowngood.report.demo_text import Act, demo_text
from knowngood.report.html import html
from knowngood.report.junit import junit_of

CLUSTER = "ams-prod"
PROVEN, UNDONE = "r595", "r610"
FAULT = "xid-31-after-driver"
DRIVER = "nvidia-driver"
SCALE = 3600.0
"""An hour of soak becomes a second, so that both acts fit into two minutes on two cores."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What both acts are played on."""

    stage: Stage
    source: Source

    def driver(self, release: str) -> str:
        """The driver's version in a release."""
        return self.source.release(release).components[DRIVER]

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
    """Play an upgrade and an undo on the embedded cluster, and check both.

    Act 1 moves the example cluster ams-prod from r580 to r595: canary ring, gates, soak, further rings, promoted as
    rehearsed. Act 2 goes on to r610 with a fault on a canary node: the gate fails, the commit is reverted, Argo CD
    brings the old driver back, and everything is proven to be as before. An oracle outside the program looks at the
    cluster before and after each act. Needs no cluster, no GPU and no network.

    \b
    Examples:
      knowngood demo
      knowngood demo --out /tmp/demo --output json

    \b
    Exit codes: 0 both acts ended as they should and the oracle agrees, 1 they did not, 130 interrupted
    """
    began = time.monotonic()
    source = load(settings)
    folder = new_folder(out)
    with staged(source, source.cluster(CLUSTER), folder, SCALE) as stage:
        scene = Scene(stage, source)
        acts = (first(scene), second(scene))
        history = stage.history()
    summaries = [act.summary for act in acts]
    then = (f"knowngood status --runs-dir {folder / 'runs'}", f"knowngood plan {CLUSTER} --to {PROVEN}")
    for summary in summaries:
        advise(folder / "runs" / summary.run, summary, then)
    (folder / "report.html").write_text(html(summaries, title="knowngood demo", then=then))
    (folder / "junit.xml").write_text(junit_of(summaries))
    (folder / "summary.json").write_text(_json(acts, history))
    if output == "json":
        say(_json(acts, history))
    else:
        say(demo_text(acts, folder, time.monotonic() - began, then))
    return int(ExitCode.DONE if all(act.good for act in acts) else ExitCode.REFUSED)


def first(scene: Scene) -> Act:
    """An upgrade that is proven."""
    say(page(["", f"Act 1: {CLUSTER} to {PROVEN}"]), err=True)
    before = scene.read(scene.stage.snapshot("1-before"))
    summary = upgrade(scene.stage, CLUSTER, PROVEN)
    after = scene.read(scene.stage.snapshot("1-after"))
    gpu = scene.source.cluster(CLUSTER).gpu
    against = confirm.done(before, after, gpu, scene.driver(PROVEN))
    recorded = summary.record is not None and not summary.record.undelivered
    ended_well = summary.end == "done" and summary.status == "rehearsed" and recorded
    return Act("an upgrade that is proven", "done", summary, ended_well, against)


def second(scene: Scene) -> Act:
    """An upgrade that is undone."""
    ring = scene.source.cluster(CLUSTER).rings[0]
    node = ring.nodes[0]
    say(page(["", f"Act 2: {CLUSTER} to {UNDONE}, with {FAULT} on {node}"]), err=True)
    scene.stage.fault(FAULT, node)
    before = scene.stage.snapshot("2-before")
    summary = upgrade(scene.stage, CLUSTER, UNDONE)
    after = scene.stage.snapshot("2-after")
    against = (
        *confirm.restored(scene.stage.differences(before, after), scene.read(after)),
        *confirm.unproven(scene.stage.history(), scene.driver(UNDONE), ring.nodes),
    )
    return Act("an upgrade that is undone", "restored", summary, summary.end == "restored", against)


def _json(acts: tuple[Act, ...], history: Object) -> Page:
    rows = [
        {"title": a.title, "good": a.good, "oracle_against": list(a.against), "run": to_json(a.summary)}
        for a in acts
    ]
    return as_json({"schema": 1, "good": all(a.good for a in acts), "acts": rows, "oracle": history})
