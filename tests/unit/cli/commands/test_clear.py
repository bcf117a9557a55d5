"""`clear` gives a node back that no open run holds, shows it first, and touches nothing of others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.cli.called import Said, knowngood
from tests.unit.cli.test_told import THERE, save
from tests.unit.report.played import calm, undone

from knowngood.adapters.nodes import claiming
from knowngood.adapters.nodes.batch import Task
from knowngood.cli.commands import clear as clear_module
from knowngood.model import names
from knowngood.model.matrix import Limits

NODE = "/api/v1/nodes/gpu-1"
OTHERS = {"key": "nvidia.com/gpu", "value": "present", "effect": "NoSchedule"}


@pytest.fixture
def kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    fake = FakeKube()
    fake.put(f"/api/v1/namespaces/{names.NAMESPACE}", {"metadata": {}})
    monkeypatch.setattr(clear_module, "Kube", lambda _path: fake)
    return fake


def node(
    kube: FakeKube,
    *,
    claim: str = "",
    taints: tuple[str, ...] = (),
    snapshot: Any = None,
    cordoned: bool = True,
) -> None:
    annotations = {"other": "kept"}
    annotations |= {names.CLAIM_ANNOTATION: f"{claim}/1"} if claim else {}
    annotations |= (
        {names.SNAPSHOT_ANNOTATION: json.dumps({"unschedulable": snapshot})} if snapshot is not None else {}
    )
    ours = [{"key": key, "value": THERE, "effect": "NoSchedule"} for key in taints]
    spec = {"taints": [OTHERS, *ours], **({"unschedulable": True} if cordoned else {})}
    kube.put(NODE, {"metadata": {"name": "gpu-1", "annotations": annotations}, "spec": spec})


def clear(tmp_path: Path, *more: str) -> Said:
    config = tmp_path / "config"
    config.write_text("")
    return knowngood("clear", "gpu-1", "--kubeconfig", config, *more)


def left(kube: FakeKube) -> tuple[dict[str, Any], dict[str, str]]:
    return kube.objects[NODE]["spec"], kube.objects[NODE]["metadata"]["annotations"]


CLEAN = ({"taints": [OTHERS]}, {"other": "kept"})


def test_a_quarantined_node_is_given_back_whole(kube: FakeKube, tmp_path: Path) -> None:
    save(kube, undone())
    node(kube, taints=(names.QUARANTINE_TAINT,))
    said = clear(tmp_path, "--yes")
    assert said.code == 0, said.err
    assert left(kube) == CLEAN
    assert "takes off the cordon" in said.err
    assert [w for w in kube.writes if "nodes" in w[1]] == [("PATCH", NODE)], "one patch"


def test_a_claim_of_an_ended_run_is_given_back_with_its_cordon(kube: FakeKube, tmp_path: Path) -> None:
    save(kube, calm())
    node(kube, claim=THERE, taints=(names.MAINTENANCE_TAINT,), snapshot=False)
    assert clear(tmp_path, "--yes").code == 0
    assert left(kube) == CLEAN


def test_a_cordon_that_is_not_ours_or_may_not_be_stays_and_that_is_said(
    kube: FakeKube, tmp_path: Path
) -> None:
    for snapshot, why in ((True, "cordoned before"), (None, "can't be told")):
        node(kube, claim="r0", taints=(names.MAINTENANCE_TAINT,), snapshot=snapshot)
        said = clear(tmp_path, "--yes")
        assert said.code == 0
        assert left(kube) == ({"taints": [OTHERS], "unschedulable": True}, {"other": "kept"})
        assert "leaves the cordon: " in said.err
        assert why in said.err


def test_a_node_that_an_open_run_holds_is_refused_with_that_runs_name(kube: FakeKube, tmp_path: Path) -> None:
    save(kube, undone().until("hop-1/ring-0/batch-1/drain"))
    node(kube, claim=THERE, taints=(names.MAINTENANCE_TAINT,), snapshot=False)
    said = clear(tmp_path, "--yes")
    assert said.code == 4
    assert f"held by run {THERE}" in said.err
    assert f"knowngood rollback {THERE}" in said.err
    assert [w for w in kube.writes if "nodes" in w[1]] == []


def test_nothing_is_changed_unless_somebody_says_yes(kube: FakeKube, tmp_path: Path) -> None:
    node(kube, taints=(names.QUARANTINE_TAINT,))
    said = clear(tmp_path)
    assert said.code == 2
    assert "takes off taint" in said.err
    assert kube.writes == []


def test_a_node_with_nothing_of_ours_is_left_alone(kube: FakeKube, tmp_path: Path) -> None:
    node(kube)
    said = clear(tmp_path, "--yes")
    assert said.code == 0
    assert "nothing of ours is on it" in said.err
    assert kube.writes == []


def test_what_changed_after_it_was_shown_is_not_taken_off(kube: FakeKube, tmp_path: Path) -> None:
    node(kube, taints=(names.QUARANTINE_TAINT,))

    def claim_meanwhile(method: str, where: str) -> None:
        if method == "PATCH" and where == NODE:
            kube.before.clear()
            node(kube, claim="r9", taints=(names.MAINTENANCE_TAINT,), snapshot=False)

    kube.before.append(claim_meanwhile)
    said = clear(tmp_path, "--yes")
    assert said.code == 3
    assert "somebody changed it meanwhile" in said.err
    assert left(kube)[1][names.CLAIM_ANNOTATION] == "r9/1"


FLASH = json.dumps({"component": "bios", "version": "2.7.4", "known": [], "job": "JID_7", "reset": ""})


def a_flash_to_come(kube: FakeKube, text: str = FLASH) -> None:
    obj = kube.objects[NODE]
    obj["metadata"]["annotations"][names.FLASH_ANNOTATION] = text
    kube.put(NODE, obj)


def test_the_note_of_a_flash_that_may_still_come_is_told_before_and_stays(
    kube: FakeKube, tmp_path: Path
) -> None:
    """Else its image comes with a tenant's boot, and nobody knows why the node runs another BIOS."""
    node(kube, taints=(names.QUARANTINE_TAINT,))
    a_flash_to_come(kube)
    dry = clear(tmp_path, "--dry-run")
    assert (dry.code, kube.writes) == (0, [])
    assert "asked to take bios 2.7.4 (job JID_7), and nobody saw that end: it may come" in dry.err
    said = clear(tmp_path, "--yes")
    assert said.code == 0, said.err
    assert left(kube) == (CLEAN[0], {**CLEAN[1], names.FLASH_ANNOTATION: FLASH})
    again = clear(tmp_path, "--yes")
    assert (again.code, "nothing of ours" in again.err) == (0, False)
    assert "leaves annotation knowngood.dev/flash: its machine was asked" in again.err


@pytest.mark.parametrize("text", [FLASH, "{", '{"component": 1}'])
def test_the_note_of_a_flash_goes_once_somebody_looked_at_the_bmc(
    kube: FakeKube, tmp_path: Path, text: str
) -> None:
    node(kube, cordoned=False)
    a_flash_to_come(kube, text)
    said = clear(tmp_path, "--flash-ended", "--yes")
    assert said.code == 0, said.err
    assert "takes off annotation knowngood.dev/flash: " in said.err
    assert left(kube) == CLEAN


def test_that_a_flash_has_ended_is_said_of_a_node(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("")
    said = knowngood("clear", "--holds", "--flash-ended", "--kubeconfig", config)
    assert (said.code, "--flash-ended is of nodes" in said.err) == (2, True)


def test_an_unknown_node_is_a_usage_error(kube: FakeKube, tmp_path: Path) -> None:
    assert clear(tmp_path, "--yes").code == 2


def test_the_quarantine_of_a_node_that_somebody_else_has_cordoned_keeps_that_cordon(
    kube: FakeKube, tmp_path: Path
) -> None:
    node(kube)
    claiming.quarantine(
        Task(kube=kube, fence=f"{THERE}/1", limits=Limits(), reasons={"gpu-1": "Xid 79"}), "gpu-1"
    )
    said = clear(tmp_path, "--yes")
    assert said.code == 0
    assert left(kube)[0] == {"taints": [OTHERS], "unschedulable": True}


POOL = "/apis/machineconfiguration.openshift.io/v1/machineconfigpools/gpu"


def a_held_pool(kube: FakeKube, run: str) -> None:
    kube.collections.add("machineconfigpools")
    mark = json.dumps({"run": run, "who": "ana@laptop", "until": "2026-08-22T04:00:00Z"})
    annotations = {names.HOLD_ANNOTATION: mark}
    kube.put(POOL, {"metadata": {"name": "gpu", "annotations": annotations}, "spec": {"paused": True}})


def let_go(tmp_path: Path, *more: str) -> Said:
    config = tmp_path / "config"
    config.write_text("")
    return knowngood("clear", "--holds", "--kubeconfig", config, *more)


def test_what_an_ended_run_still_holds_is_shown_and_let_go(kube: FakeKube, tmp_path: Path) -> None:
    save(kube, undone())
    a_held_pool(kube, THERE)
    said = let_go(tmp_path, "--yes")
    assert said.code == 0, said.err
    assert f"of run {THERE} (ana@laptop), meant until 2026-08-22T04:00:00Z; that boots every node" in said.err
    assert kube.objects[POOL]["spec"]["paused"] is False
    assert kube.objects[POOL]["metadata"]["annotations"] == {}


def test_a_dry_run_of_holds_and_a_node_shows_both_and_writes_nothing(kube: FakeKube, tmp_path: Path) -> None:
    save(kube, undone())
    a_held_pool(kube, THERE)
    node(kube, taints=(names.QUARANTINE_TAINT,))
    before = [*kube.writes]
    said = let_go(tmp_path, "gpu-1", "--dry-run")
    assert said.code == 0, said.err
    assert "lets it go on, held by" in said.err
    assert "gpu-1: takes off" in said.err
    assert (kube.objects[POOL]["spec"]["paused"], kube.writes) == (True, before)


def test_what_an_open_run_holds_is_refused(kube: FakeKube, tmp_path: Path) -> None:
    a_held_pool(kube, THERE)
    save(kube, undone().until("hop-1/ring-0/batch-1/drain"))
    said = let_go(tmp_path, "--yes")
    assert said.code == 4
    assert f"knowngood resume {THERE}" in said.err
    assert kube.objects[POOL]["spec"]["paused"] is True


def test_nothing_held_is_said(kube: FakeKube, tmp_path: Path) -> None:
    save(kube, undone())
    said = let_go(tmp_path)
    matrix, *told = said.err.strip().splitlines()
    assert (said.code, matrix.startswith("matrix: "), told) == (0, True, ["nothing is held"])


def test_what_could_not_be_looked_for_is_no_nothing(kube: FakeKube, tmp_path: Path) -> None:
    """Without a run nobody says which cluster this is, and so where its silences would be."""
    said = let_go(tmp_path)
    assert said.code == 0
    assert said.err.strip().splitlines() == [
        "silences of alerts are not looked for: no run is kept here that says which cluster of the matrix this is",
        "nothing else is held",
    ]


def test_nothing_named_is_usage(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("")
    assert knowngood("clear", "--kubeconfig", config).code == 2
