"""Each fault ends as it must: the table. Real twin, Git, Ansible, pytest; one run a row, on two rings of one node.

What a run says of itself is checked against the twin: its oracle compares before and after, its event log tells which
node loaded what. Each row also asserts that its fault hit, so it fails when the fault's effect is taken away; and the
calm run at the end shows what the same command does then.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.integration.play import Play, awaited, explained, staged

from knowngood.adapters.kube import Kube, path

OLD, NEW = "580.173.02", "595.91.07"
CANARY, LATER = "lab-gpu-1", "lab-gpu-2"
QUICK = {
    "applySeconds": 40,
    "operandAgeSeconds": 12,
    "nodeUnreachableSeconds": 12,
    "drainSeconds": 20,
    "deliverSeconds": 20,
}


@dataclass(frozen=True)
class Row:
    """A fault, where it strikes, what must catch it (text of the reason), and how the run must end."""

    fault: str
    node: str
    caught_by: str
    end: str
    code: int
    named: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=lambda: QUICK)
    note: str = ""

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
    Row("argo-sync-fails", "", "sync", "restored", 6, params={"which": "ours-only"}),
    Row(
        "argo-sync-fails", "", "sync", "quarantined", 5, params={"which": "revert-too"}, note="the revert too"
    ),
    Row("pdb-blocks-drain", CANARY, "drain", "restored", 6, (CANARY,)),
    Row("evict-429-halfway", CANARY, "", "done", 0, params={"seconds": "60"}, note="then it lets go"),
    Row(
        "api-outage",
        "",
        "",
        "done",
        0,
        params={"when": "on-commit", "seconds": "3"},
        note="shorter than the Lease",
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.id)
def test_a_fault_ends_as_it_must(row: Row, tmp_path: Path) -> None:
    with staged(tmp_path / "stage", "lab-small", limits=row.limits) as play:
        if row.fault == "pdb-blocks-drain":
            with_a_tenant_on(play, row.node)
        before = play.snapshot("before")
        play.stage.fault(row.fault, row.node, row.params)
        if row.fault == "xid-79":  # it takes a GPU away at once: that is the state the run finds
            awaited(lambda: play.hits(row.fault), "the fault")
            before = play.snapshot("before")
        ended = play.upgrade("r595")
        assert ended.code == row.code, explained(ended)
        summary = ended.result
        assert summary["end"] == row.end, explained(ended)
        assert row.caught_by in summary["why"] + str(summary["blamed"]), explained(ended)
        assert set(row.named) <= set(summary["blamed"]), explained(ended)
        assert play.hits(row.fault), "it never hit"
        play.stage.clear_faults()
        says_true(play, row.end, before)


def says_true(play: Play, end: str, before: Path) -> None:
    """What the twin's own books say of a run that ended so."""
    drivers = play.drivers()
    assert NEW not in drivers.get(LATER, []) or drivers[CANARY][-1] == NEW, "unproven outside the canary"
    if end == "refused":
        assert play.differences(before) == ""
        assert play.commits() == ["The cluster at rest"]
        assert drivers == {CANARY: [OLD], LATER: [OLD]}
    if end in ("restored", "quarantined"):
        assert NEW not in play.given_back(CANARY), "the canary went back to its tenants unproven"
    if end == "restored":
        assert play.differences(before) == ""
        assert drivers[LATER] == [OLD], "a node outside the open ring was restarted"
    if end == "done":
        assert [versions[-1] for versions in drivers.values()] == [NEW, NEW]
    if end == "quarantined":
        assert drivers[LATER] == [OLD]


def with_a_tenant_on(play: Play, node: str) -> None:
    """See to it that the canary has a pod with a budget to protect; the scheduler packs, on either node."""
    kube = Kube(play.stage.kubeconfig)

    def hubs() -> list[dict[str, Any]]:
        return [p for p in kube.list(path("v1", "pods", "", "notebooks")) if "hub" in p["metadata"]["name"]]

    def there() -> bool:
        return any(
            p["spec"].get("nodeName") == node and p["status"].get("phase") == "Running" for p in hubs()
        )

    if not there():
        later = path("v1", "nodes", LATER)
        kube.patch(later, [{"op": "add", "path": "/spec/unschedulable", "value": True}])
        pod = hubs()[0]["metadata"]
        kube.delete(path("v1", "pods", pod["name"], "notebooks"), uid=pod["uid"])
        awaited(there, f"a pod of the tenant on {node}")
        kube.patch(later, [{"op": "remove", "path": "/spec/unschedulable"}])


def test_the_same_command_without_a_fault_ends_done(tmp_path: Path) -> None:
    """The table's rows differ from this only in their fault."""
    with staged(tmp_path / "stage", "lab-small", limits=QUICK) as play:
        ended = play.upgrade("r595")
        assert ended.code == 0, explained(ended)
        assert ended.result["end"] == "done"
        assert ended.result["status"] == "rehearsed", "a twin never makes evidence"
        assert play.drivers() == {CANARY: [OLD, NEW], LATER: [OLD, NEW]}
