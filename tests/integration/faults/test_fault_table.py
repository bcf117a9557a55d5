"""Each fault ends as it must: the table. Real twin, Git, Ansible, pytest; one run a row, on two rings of one node.

What a run says of itself is checked against the twin: its oracle compares before and after, its event log tells which
node loaded what. Each row fails when its fault's effect is taken away: a run that nothing disturbs ends done (the calm
run at the end), and a row that ends done nevertheless names what the twin's books must show (`felt`).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.faults.rows import CANARY, GUARDED, LATER, NEW, OLD, QUICK, TABLE, TWICE, Row, moment
from tests.integration.play import Play, awaited, explained, staged

from knowngood.adapters.kubernetes.client import Kube, path
from knowngood.twin.faults import KINDS
from knowngood.twin.gpu_health import AILMENTS
from knowngood.twin.stand_ins.hardware import HALF, HANGS, LOSES, RAIL, SOCKETS

SPACE = "notebooks"
FILLER = "queue"  # the tenant's workload without a budget
ROOM = Path(__file__).parents[1]

ROWS = Path(__file__).with_name("rows.py")
HEALTH = Path(__file__).with_name("test_gpu_health.py")
FABRIC = ROOM.parent / "unit/probe/fabric/test_payload.py"
BMCS = ROOM.parent / "unit/adapters/movers/test_redfish.py"


LONG = ("validator-missing", "xid-31-after-driver (in a later ring)", "api-outage (shorter than the Lease)")
"""Rows that `make kills` runs: others go the same way."""


@pytest.mark.slow
@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.id, marks=pytest.mark.exhaustive if row.id in LONG else ()) for row in TABLE],
)
def test_a_fault_ends_as_it_must(row: Row, tmp_path: Path) -> None:
    with staged(tmp_path / "stage", "lab-small", limits=row.limits) as play:
        if row.fault in ("pdb-blocks-drain", "evict-429-halfway"):
            guarded_pods_on_the_canary(play)
        before = play.snapshot("before")
        play.stage.fault(row.fault, row.node, row.params)
        if row.fault == "xid-79":  # it takes a GPU away at once: that is the state the run finds
            awaited(
                lambda: len(list(gpus(play, row.node).iterdir())) == 7 and play.hits(row.fault), "the fault"
            )
            before = play.snapshot("before")
        ended = play.upgrade("r595")
        assert ended.code == row.code, explained(ended)
        summary = ended.result if ended.stdout else play.knowngood("status", "--output", "json").result
        assert summary["end"] == row.end, explained(ended)
        told = summary["why"] + summary["interrupted"] + str(summary["blamed"])
        assert row.caught_by in told, explained(ended)
        assert set(row.named) <= set(summary["blamed"]), explained(ended)
        assert (hits := play.hits(row.fault)), "it never hit"
        assert row.felt is None or row.felt(play, moment(hits[0])), f"it hit without effect: {hits}"
        play.stage.clear_faults()
        says_true(play, row.end, before)


def test_every_fault_has_a_row_or_a_test_of_its_own() -> None:
    """A fault of one part is shown on that part alone, by a behaviour's or a mover's own test, or on fra-prod.

    What ails a GPU and only its driver tells is shown by its gate alone, what ails a BMC by the twin's service alone.
    The power cycle is a health check's way to act on a node, no incident of a driver's move.
    """
    others = [file for room in ("twin", "adapters", "gates") for file in (ROOM / room).glob("test_*.py")]
    texts = "".join(file.read_text(encoding="utf-8") for file in (*others, ROWS, HEALTH, FABRIC, BMCS))
    shown = {row.fault for row in TABLE} | {name for name in KINDS if f'"{name}"' in texts}
    assert shown >= KINDS.keys()
    rows = {row.fault for row in TABLE}
    everywhere = {name for name, kind in KINDS.items() if not kind.part}
    alone = {"journal-vacuumed", "validator-not-run-again", "host-process-has-gpu-open", TWICE.fault}
    between_nodes = {HALF, RAIL, LOSES, SOCKETS, HANGS}  # which no run meets that judges one node at a time
    assert rows == everywhere - alone - between_nodes - AILMENTS.keys()


def test_a_row_that_ends_done_names_what_its_fault_does() -> None:
    """Its end is the calm run's end, so the end alone would not tell."""
    assert all(row.felt for row in TABLE if row.end == "done")


def says_true(play: Play, end: str, before: Path) -> None:
    """What the twin's own books say of a run that ended so."""
    drivers = play.drivers()
    assert NEW not in drivers.get(LATER, []) or drivers[CANARY][-1] == NEW, "unproven outside the canary"
    if end == "refused":
        assert play.differences(before) == ""
        assert play.commits() == ["The cluster at rest"]
        assert drivers == {CANARY: [OLD], LATER: [OLD]}
    if end in ("restored", "quarantined", ""):
        assert NEW not in play.given_back(CANARY), "the canary went back to its tenants unproven"
    if end == "restored":
        assert play.differences(before) == ""
        assert drivers[LATER] == [OLD], "a node outside the open ring was restarted"
    if end == "done":
        assert [versions[-1] for versions in drivers.values()] == [NEW, NEW]
    if end in ("quarantined", ""):
        assert drivers[LATER] == [OLD]


def gpus(play: Play, node: str) -> Path:
    """A folder with an entry for each GPU that the node's driver has."""
    return play.stage.state / "nodes" / node / "root/proc/driver/nvidia/gpus"


def guarded_pods_on_the_canary(play: Play) -> None:
    """Both pods under the tenant's budget on the canary, whichever nodes the scheduler packed them on.

    The canary is filled to the last GPU, and one pod more stays on the other node: work to come back for the soak.
    """
    kube = Kube(play.stage.kubeconfig)
    filler = path("apps/v1", "deployments", FILLER, SPACE)
    wanted = int(kube.get(filler)["spec"]["replicas"])

    def pods() -> list[dict[str, Any]]:
        return list(kube.list(path("v1", "pods", "", SPACE)))

    def stay(count: int) -> bool:
        """Just so many pods, none on its way out: no controller has anything left to do."""
        return [bool(p["metadata"].get("deletionTimestamp")) for p in pods()] == [False] * count

    def placed(others: int) -> bool:
        here = [p for p in pods() if is_ready(p) and p["spec"]["nodeName"] == CANARY]
        guarded = [p for p in here if p["metadata"]["name"].startswith(GUARDED)]
        at_rest = stay(full + others) and all(map(is_ready, pods()))
        return at_rest and (len(guarded), len(here)) == (2, full)

    full = wanted + 1  # of the filler one less, and two guarded
    later = path("v1", "nodes", LATER)
    kube.patch(later, [{"op": "add", "path": "/spec/unschedulable", "value": True}])
    kube.patch(filler, [{"op": "replace", "path": "/spec/replicas", "value": wanted - 1}])
    awaited(lambda: stay(full), f"one {FILLER} less")
    for pod in (p for p in pods() if p["spec"].get("nodeName") == LATER):
        kube.delete(path("v1", "pods", pod["metadata"]["name"], SPACE), uid=pod["metadata"]["uid"])
    awaited(lambda: placed(0), f"all of the tenant's pods on {CANARY}")
    kube.patch(later, [{"op": "remove", "path": "/spec/unschedulable"}])
    kube.patch(filler, [{"op": "replace", "path": "/spec/replicas", "value": wanted}])
    awaited(lambda: placed(1), f"one pod on {LATER}")


def is_ready(pod: dict[str, Any]) -> bool:
    """Whether a pod works."""
    conditions = pod.get("status", {}).get("conditions") or ()
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def test_the_same_command_without_a_fault_ends_done(tmp_path: Path) -> None:
    """The table's rows differ from this only in their fault."""
    with staged(tmp_path / "stage", "lab-small", limits=QUICK) as play:
        ended = play.upgrade("r595")
        assert ended.code == 0, explained(ended)
        assert ended.result["end"] == "done"
        assert ended.result["status"] == "rehearsed", "a twin never makes evidence"
        (file,) = (play.stage.matrix / "evidence" / "lab-small").glob("r595-*.json")
        nodes = json.loads(file.read_text())["nodes"]
        images = [image for node in nodes.values() for image in node["images"].values()]
        assert images
        assert all("@sha256:" in image for image in images), "a tag can be pushed anew"
        assert play.drivers() == {CANARY: [OLD, NEW], LATER: [OLD, NEW]}
        drained = next(moment(e) for e in play.events() if e["event"] == "pod-evicted")
        felt = [row.fault for row in TABLE if row.felt and row.felt(play, drained)]
        assert not felt, "the twin's books show an effect where there was none"
