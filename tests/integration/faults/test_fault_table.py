"""Each fault ends as it must: the table. Real twin, Git, Ansible, pytest; one run a row, on two rings of one node.

What a run says of itself is checked against the twin: its oracle compares before and after, its event log tells which
node loaded what. Each row fails when its fault's effect is taken away: a run that nothing disturbs ends done (the calm
run at the end), and a row that ends done nevertheless names what the twin's books must show (`felt`).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.play import Play, awaited, explained, staged

from knowngood.adapters.kubernetes.client import Kube, path
from knowngood.twin.faults import KINDS
from knowngood.twin.gpu_health import AILMENTS

OLD, NEW = "580.173.02", "595.91.07"
CANARY, LATER = "lab-gpu-1", "lab-gpu-2"
SPACE = "notebooks"
GUARDED, FILLER = "hub", "queue"  # the tenant's workload under a budget, and the one without
OUTAGE_SECONDS = 3
ROOM = Path(__file__).parents[1]
SECOND = "fails-at-second-load"
ONCE = Path(__file__).with_name("test_declared_once.py")
HEALTH = Path(__file__).with_name("test_gpu_health.py")
QUICK = {
    "applySeconds": 40,
    "operandAgeSeconds": 12,
    "nodeUnreachableSeconds": 12,
    "drainSeconds": 20,
    "deliverSeconds": 20,
    "undoSeconds": 15,
}


def evictions_were_held_up(play: Play, hit: datetime) -> bool:
    """The canary's pods under a budget stayed until the twin loosened the budget again, and then one went."""
    changed = [
        moment(r) for r in play.audit() if r["kind"] == "PodDisruptionBudget" and r["userAgent"] == "twin"
    ]
    went = [
        moment(e)
        for e in play.events()
        if (e["event"], e["node"]) == ("pod-evicted", CANARY) and e["pod"].startswith(GUARDED)
    ]
    loosened = min((time for time in changed if time > hit), default=hit)
    return not any(hit < time < loosened for time in went) and any(time > loosened > hit for time in went)


def nobody_was_answered(play: Play, hit: datetime) -> bool:
    """No write was accepted for the outage's seconds, and then they went on."""
    later = [moment(r) - hit for r in play.audit() if moment(r) > hit]
    return min(later, default=timedelta()) >= timedelta(seconds=OUTAGE_SECONDS)


def moment(entry: Mapping[str, Any]) -> datetime:
    """When it happened."""
    return datetime.fromisoformat(entry["time"])


@dataclass(frozen=True)
class Row:
    """A fault, where it strikes, what must catch it (text of the reason), and how the run must end.

    A row that ends done has `felt`: whether the twin's books show the effect after the moment that the fault hit.
    """

    fault: str
    node: str
    caught_by: str
    end: str
    code: int
    named: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=lambda: QUICK)
    note: str = ""
    felt: Callable[[Play, datetime], bool] | None = None

    @property
    def id(self) -> str:
        return f"{self.fault}{f' ({self.note})' if self.note else ''}"


RELEASE = {"version": NEW}
TABLE = [
    Row("xid-79", CANARY, "gpu_errors", "refused", 1, (CANARY,), note="before the start"),
    Row("xid-31-after-driver", CANARY, "gpu_errors", "restored", 6, (CANARY,), RELEASE),
    Row("xid-31-after-driver", LATER, "gpu_errors", "held", 5, (LATER,), RELEASE, note="in a later ring"),
    Row("xid-119-after-driver", CANARY, "gpu_errors", "restored", 6, (CANARY,), RELEASE),
    Row("driver-in-use", CANARY, "apply", "restored", 6, (CANARY,), RELEASE),
    Row("module-not-reloaded", CANARY, "apply", "restored", 6, (CANARY,), RELEASE),
    Row("validator-missing", CANARY, "nvidia-operator-validator", "restored", 6, (CANARY,), RELEASE),
    Row("operands-left-paused", CANARY, "parked", "restored", 6, (CANARY,), RELEASE),
    Row("stale-gfd-label", CANARY, "drift", "restored", 6, (CANARY,), RELEASE),
    Row("dma-buf-falls-back", CANARY, "rdma_health", "restored", 6, (CANARY,), RELEASE),
    Row("ib-link-flap", CANARY, "rdma_health", "restored", 6, (CANARY,), {"times": "1"}, note="once"),
    Row("ib-link-flap", CANARY, "rdma_health", "quarantined", 5, (CANARY,), note="the undo does not cure it"),
    Row("node-stays-down", CANARY, "not Ready", "quarantined", 5, (CANARY,), RELEASE),
    Row(
        "node-reboots",
        CANARY,
        "rebooted since the window opened",
        "restored",
        6,
        (CANARY,),
        {"when": "on-uncordon", "version": NEW, "seconds": "60"},  # a second on the twin's clock
        note="by itself, in the soak",
    ),
    Row("argo-sync-fails", "", "sync", "restored", 6, params={"which": "ours-only"}),
    Row("argo-sync-fails", "", "sync", "", 130, params={"which": "revert-too"}, note="the revert too"),
    Row("pdb-blocks-drain", CANARY, "drain", "restored", 6, (CANARY,)),
    Row(
        "evict-429-halfway",
        CANARY,
        "",
        "done",
        0,
        params={"seconds": "240"},  # 4 s on the twin's clock; the tenant's deadline is 10
        note="then it lets go",
        felt=evictions_were_held_up,
    ),
    Row(
        "api-outage",
        "",
        "",
        "done",
        0,
        params={"when": "on-commit", "seconds": str(OUTAGE_SECONDS)},
        note="shorter than the Lease",
        felt=nobody_was_answered,
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.id)
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

    What ails a GPU and only its driver tells is shown by its gate alone. The power cycle is a health check's way to act
    on a node, no incident of a driver's move.
    """
    others = [file for room in ("twin", "adapters", "gates") for file in (ROOM / room).glob("test_*.py")]
    texts = "".join(file.read_text(encoding="utf-8") for file in (*others, ONCE, HEALTH))
    shown = {row.fault for row in TABLE} | {name for name in KINDS if f'"{name}"' in texts}
    assert shown >= KINDS.keys()
    rows = {row.fault for row in TABLE}
    everywhere = {name for name, kind in KINDS.items() if not kind.part}
    alone = {"journal-vacuumed", "validator-not-run-again", "host-process-has-gpu-open", SECOND}
    assert rows == everywhere - alone - AILMENTS.keys()


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
