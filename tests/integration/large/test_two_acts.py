"""The acts of `knowngood demo`, told by the twin's books and Git's, not by the program's own account."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from tests.integration.play import KNOWNGOOD, Ended, Play, environment, explained, is_ours

from knowngood.adapters.stage import Stage

OLD, NEW, BAD = "580.173.02", "595.91.07", "610.57.04"
RINGS = {"ring-0": ("gpu-1", "gpu-2"), "ring-1": ("gpu-3", "gpu-4"), "ring-2": ("gpu-5", "gpu-6")}
CANARY = RINGS["ring-0"]
GPU = tuple(node for nodes in RINGS.values() for node in nodes)
COUPLED, COUPLED_CANARY, COUPLED_LATER = "lab-rdma", "rdma-gpu-1", "rdma-gpu-2"
OTHERS = ("cp-1", "cp-2", "cp-3", "cpu-1", "cpu-2", "liqo-fra")
DEADLINE = 540.0  # seconds; 100 to 130 on two idle cores

Events = Sequence[dict[str, Any]]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_one_act_is_proven_the_others_are_undone_and_the_twin_agrees(tmp_path: Path) -> None:
    command = [*KNOWNGOOD, "demo", "--out", str(tmp_path / "demo"), "--output", "json"]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, explained(Ended(done.returncode, done.stdout, done.stderr))
    (folder,) = (tmp_path / "demo").iterdir()
    play = Play(Stage(folder), "ams-prod")
    between = taken(play, "2-before")["time"]
    first = [e for e in play.events() if e["time"] <= between]
    second = [e for e in play.events() if e["time"] > between]

    each_node_moved_once(play, first)
    no_ring_moved_before_the_one_ahead_was_proven(first)
    only_the_canary_was_moved_and_brought_back(play, second)
    nobody_touched_what_has_no_gpu(play)
    git_tells_the_same_story(play)
    coupled = Play(Stage(folder / COUPLED), COUPLED)
    all_came_with_one_drain_and_went_back(coupled, json.loads(done.stdout)["acts"][2])
    everything_is_kept(play, coupled, json.loads(done.stdout))


def taken(play: Play, name: str) -> dict[str, Any]:
    """A snapshot that the oracle took during the demo."""
    found: dict[str, Any] = json.loads((play.stage.folder / "oracle" / f"{name}.json").read_text())
    return found


def of(events: Events, event: str, node: str, **also: str) -> Events:
    """What happened so to a node."""
    wanted = {"event": event, "node": node, **also}
    return [e for e in events if wanted.items() <= e.items()]


def each_node_moved_once(play: Play, first: Events) -> None:
    """Act 1 ended done: one restart and one load a node, all of them free again, nothing of ours left."""
    before, after = taken(play, "1-before"), taken(play, "1-after")
    for node in GPU:
        assert [e["version"] for e in of(first, "module-loaded", node, module="nvidia")] == [OLD, NEW]
        assert [is_ours(e["by"]) for e in of(first, "driver-pod-deleted", node)] == [True]
        assert not of(first, "booted", node)[1:], "it was booted"
        now, was = after["nodes"][node], before["nodes"][node]
        assert (now["module"], now["userSpace"]) == (NEW, [NEW])
        for key in ("taints", "unschedulable", "allocatable", "ready"):
            assert now[key] == was[key]
    assert not any(after["ours"].values()), after["ours"]


def no_ring_moved_before_the_one_ahead_was_proven(first: Events) -> None:
    """A node is given back with the new driver after a load test on it; only then does the next ring's module load."""
    proven = ""
    for nodes in RINGS.values():
        released = []
        for node in nodes:
            loaded = of(first, "module-loaded", node, module="nvidia")[-1]["time"]
            assert loaded > proven, f"{node} ran {NEW} before the ring ahead was proven"
            # A tenant's budget may have kept it from us once: then it was given back undone, and taken again.
            *_, free = [e["time"] for e in of(first, "uncordoned", node) if is_ours(e["by"])]
            tests = [e for e in of(first, "job-ran", node) if loaded < e["time"] < free]
            assert tests, f"{node} was given back untested"
            assert all(e["exitCode"] == 0 for e in tests)
            released.append(free)
        proven = max(released)


def only_the_canary_was_moved_and_brought_back(play: Play, second: Events) -> None:
    """Act 2 ended restored: the fault hit, the bad driver never left the canary, and all is as before the act."""
    assert {e["node"] for e in play.hits("xid-31-after-driver")} == {CANARY[0]}
    for node in GPU:
        loads = [e["version"] for e in of(second, "module-loaded", node, module="nvidia")]
        assert loads == ([BAD, NEW] if node in CANARY else [])
    assert [play.given_back(node) for node in CANARY] == [[NEW, NEW]] * 2, "never given back with the bad one"
    assert {node for node, versions in play.drivers().items() if BAD in versions} == set(CANARY)
    snapshots = (str(play.stage.folder / "oracle" / f"2-{when}.json") for when in ("before", "after"))
    compared = play.oracle("compare", *snapshots)
    assert compared.returncode == 0, compared.stdout + compared.stderr


def nobody_touched_what_has_no_gpu(play: Play) -> None:
    """Control plane, CPU nodes and the peered cluster's virtual node: no write, no event, no change."""
    assert {r["name"] for r in play.audit() if r["kind"] == "Node"} == set(GPU)
    settled = next(e["time"] for e in play.events() if e["event"] == "settled")
    assert {e["node"] for e in play.events() if e["time"] > settled} <= set(GPU)
    start, end = taken(play, "1-before"), taken(play, "2-after")
    for node in OTHERS:
        assert start["nodes"][node] == end["nodes"][node]
        assert start["loads"][node] == end["loads"][node]


def git_tells_the_same_story(play: Play) -> None:
    """One commit a ring with its trailers, the bad one reverted by name, each ring's field on the proven version."""
    keys = ("Run", "Ring", "Release", "Undoes")
    trailers = "%x00".join(f"%(trailers:key=Knowngood-{key},valueonly,separator=)" for key in keys)
    log = play.git("log", "--reverse", f"--format=%H%x00{trailers}", "main").splitlines()
    commits = [line.split("\0") for line in log]
    assert not any(commits[0][1:]), "the first one is not ours"
    assert all(run for _, run, *_ in commits[1:]), "a commit of ours does not name its run"
    assert len({run for _, run, *_ in commits[1:]}) == 2
    moves = [(ring, release, undoes) for _, _, ring, release, undoes in commits if ring]
    bad = next(sha for sha, _, _, release, _ in commits if release == "r610")
    up = [(ring, "r595", "") for ring in RINGS]
    assert moves == [*up, ("ring-0", "r610", ""), ("ring-0", "r595", bad)]
    for ring in RINGS:
        assert f"version: {NEW}" in play.git("show", f"main:clusters/ams-prod/gpu/nvidiadriver-{ring}.yaml")


def all_came_with_one_drain_and_went_back(play: Play, told: dict[str, Any]) -> None:
    """Act 3 ended restored: NIC driver first, then the GPU driver with its settings, on the canary only, twice."""
    events = play.events()
    settled = next(e["time"] for e in events if e["event"] == "settled")
    loads = [e for e in of(events, "module-loaded", COUPLED_CANARY) if e["time"] > settled]
    forth_and_back = [
        ("mlx5_core", "26.04-1.1.0"),
        ("nvidia", NEW),
        ("mlx5_core", "26.01-1.0.0"),
        ("nvidia", OLD),
    ]
    assert [(e["module"], e["version"]) for e in loads] == [*forth_and_back, ("nvidia_peermem", OLD)]
    assert not [e for e in of(events, "module-loaded", COUPLED_LATER) if e["time"] > settled]
    assert play.given_back(COUPLED_CANARY) == [OLD], "it was out once"
    before, after = (taken(play, f"3-{when}")["nodes"][COUPLED_CANARY] for when in ("before", "after"))
    assert before == after
    assert (before["flavour"], before["peermem"], before["nicDriver"]) == ("proprietary", True, "26.01-1.0.0")
    components = {move.split()[0] for move in told["run"]["moves"]}
    assert components >= {"nvidia-driver", "kernel-module-type", "rdma-mode", "doca-ofed"}
    (saw,) = told["oracle_saw"]
    assert saw.startswith(
        f"{COUPLED_CANARY}: drained once; mlx5_core 26.01-1.0.0 → 26.04-1.1.0 → 26.01-1.0.0; "
    )


class Text(HTMLParser):
    """The text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def handle_data(self, data: str) -> None:
        self.seen.append(data)


def everything_is_kept(play: Play, coupled: Play, printed: dict[str, Any]) -> None:
    """The demo's folder and each run's: reports that parse, journals that are whole."""
    folder = play.stage.folder
    runs = [*sorted(play.stage.runs.iterdir()), *coupled.stage.runs.iterdir()]
    assert json.loads((folder / "summary.json").read_text()) == printed
    suites = ET.parse(folder / "junit.xml").getroot()  # noqa: S314 (our own text)
    cases = suites.findall("testsuite/testcase")
    failed = [c for c in cases if c.find("failure") is not None or c.find("error") is not None]
    assert int(suites.get("tests", "")) == len(cases) > 0
    assert {str(c.get("name")) for c in failed} == {
        f"gpu_errors[{node}]" for node in (CANARY[0], COUPLED_CANARY)
    }
    page = Text()
    page.feed((folder / "report.html").read_text())
    text = " ".join(page.seen)
    assert all(run.name in text for run in runs)
    assert printed["acts"][2]["oracle_saw"][0] in text
    for run, end in zip(runs, ("done", "restored", "restored"), strict=True):
        records = [json.loads(line) for line in (run / "journal.jsonl").read_text().splitlines()]
        assert [r["seq"] for r in records] == list(range(len(records)))
        assert (records[0]["type"], records[-1]["type"]) == ("plan", "finished")
        assert records[-1]["detail"]["end"] == end
        assert ET.parse(run / "junit.xml").getroot().findall("testsuite")  # noqa: S314
        assert "</html>" in (run / "report.html").read_text()
