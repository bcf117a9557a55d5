"""What a kept plan rests on: what the nodes run, and which cluster it is."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.engine.scene import a_plan

from knowngood.model.matrix import Identity
from knowngood.model.plan_file import Basis, PlanFile
from knowngood.planner.plan.basis import SHOWN, changes, unread

PIN = Identity("u", "c")
SEEN = Basis(
    {"m/a.yaml": "1"}, asked=True, identity=PIN, nodes={"gpu-1": {"nvidia-driver": "580"}, "gpu-2": {}}
)
KEPT = PlanFile(1, "1", "now", a_plan(), SEEN)


def changed(now: Basis, kept: PlanFile = KEPT) -> list[str]:
    return list(changes(kept, a_plan(), now, "1"))


def test_nothing_is_changed_where_all_is_as_it_was() -> None:
    assert changed(SEEN) == []
    assert unread(KEPT, SEEN) == (), "what could not be read before is no less known now"


def test_what_a_node_runs_and_which_nodes_there_are_counts() -> None:
    now = {"gpu-1": {"nvidia-driver": "595"}, "gpu-3": {"nvidia-driver": "580"}}
    assert changed(replace(SEEN, nodes=now)) == [
        "gpu-1: nvidia-driver is 595, was 580",
        "gpu-2 is gone",
        "gpu-3 is new",
    ]


def test_a_node_that_can_be_read_no_more_is_not_called_unchanged() -> None:
    silent = replace(SEEN, nodes={"gpu-1": {}, "gpu-2": {}})
    assert changed(silent) == []
    assert unread(KEPT, silent) == ("gpu-1",)


def test_a_component_that_can_be_told_no_more_is_not_called_changed() -> None:
    """Its file could not be read, or it is gone: what the node printed does not say which."""
    was = {"nvidia-driver": "580", "gds": "2.20"}
    kept = replace(KEPT, rests_on=replace(SEEN, nodes={"gpu-1": was}))
    now = replace(SEEN, nodes={"gpu-1": {"nvidia-driver": "580"}})
    assert changed(now, kept) == []
    assert unread(kept, now) == ("gpu-1 (of gds)",)


def test_another_cluster_behind_the_kubeconfig_is_seen() -> None:
    assert "another cluster" in changed(replace(SEEN, identity=Identity("v", "c")))[0]


def test_where_nobody_looked_what_runs_is_not_compared() -> None:
    kept = replace(KEPT, rests_on=Basis(SEEN.matrix))
    assert changed(Basis(SEEN.matrix), kept) == []
    assert unread(kept, Basis(SEEN.matrix)) == ()


def test_many_files_are_counted() -> None:
    many = {f"m/{n}.yaml": "1" for n in range(SHOWN + 4)}
    told = changed(replace(SEEN, matrix=many))
    assert told[0] == "m/0.yaml is new"
    assert told[-1] == "5 more files of the matrix were changed"


def test_what_only_tells_is_no_difference() -> None:
    said = replace(a_plan(), warnings=("it failed here before",), matrix_commit="abc")
    assert list(changes(KEPT, said, SEEN, "1")) == []
