"""What lies between two releases and two revisions: moves, rules, risks, and each thing that changed."""

from __future__ import annotations

from dataclasses import replace

from tests.unit.planner.matrices import HERE, SOURCE, component, matrix, release, rule, with_component

from knowngood.model.errors import Location
from knowngood.model.graph import Edges, Risk, Version
from knowngood.model.matrix import Disruption, Follows, Matrix, ReleaseStatus, UndoClass
from knowngood.planner.plan.diff import ReleaseDiff, Revision, changes, compare
from knowngood.planner.rules.evaluation import Outcome
from knowngood.report.diff_text import release_text


def between(value: Matrix, after: str, before: str = "old") -> ReleaseDiff:
    return compare(value, value.releases[before], value, value.releases[after])


def test_the_same_versions_move_nothing_and_can_be_undone() -> None:
    found = between(matrix(), "old")
    assert (found.moves, found.disruption, found.undoable) == ((), Disruption.NONE, True)


def test_each_move_says_from_where_to_where_and_which_way() -> None:
    new = release(
        "new",
        openshift="4.19.1",
        nvidia_driver="570.172.08",
        kernel_module_type="proprietary",
        doca_ofed=None,
    )
    found = between(matrix(new), "new")
    assert {(m.component, m.before, m.after, m.direction) for m in found.moves} == {
        ("openshift", "4.18.52", "4.19.1", "forward"),
        ("nvidia-driver", "580.173.02", "570.172.08", "back"),
        ("kernel-module-type", "open", "proprietary", "other"),
        ("doca-ofed", "25.10-1.2.8.0-2", "", "removed"),
    }


def test_the_worst_disruption_and_undo_class_speak_for_the_whole() -> None:
    value = matrix(release("new", openshift="4.19.1", gpu_operator="26.7.1"))
    value = with_component(value, replace(value.components["openshift"], disruption=Disruption.REBOOT))
    found = between(value, "new")
    assert (found.disruption, found.undo, found.undoable) == (
        Disruption.REBOOT,
        UndoClass.FORWARD_ONLY,
        False,
    )
    small = between(matrix(release("new", gpu_operator="26.7.1")), "new")
    assert (small.undo, small.undoable) == (UndoClass.PROCEDURE, True)


def test_rules_come_go_and_turn() -> None:
    rules = (
        rule("comes", {"nvidia-driver": "595.x"}, {"gpu-operator": "26.x"}),
        rule("goes", {"nvidia-driver": "580.x"}, {"gpu-operator": "26.x"}),
        rule("turns", {"gpu-operator": "26.x"}, {"nvidia-driver": "<590"}, "warn"),
        rule("stays", {}, {"gpu-operator": "26.x"}),
    )
    found = between(matrix(release("new", nvidia_driver="595.91.07"), rules=rules), "new")
    assert [s.rule for s in found.come] == ["comes"]
    assert [s.rule for s in found.go] == ["goes"]
    assert [(s.rule, s.outcome) for s in found.turned] == [("turns", Outcome.BROKEN)]


def test_a_rule_of_one_profile_speaks_with_its_worst_word() -> None:
    value = matrix(release("new", nvidia_driver="595.91.07"))
    hgx = replace(value.profiles["pcie"], name="hgx", traits={"nvswitch": "true"})
    on_hgx = replace(
        rule("r", {"nvidia-driver": "595.x"}, {"gpu-operator": "27.x"}), traits={"nvswitch": ("true",)}
    )
    pcie = replace(value.profiles["pcie"], traits={"nvswitch": "false"})
    value = replace(value, profiles={"pcie": pcie, "hgx": hgx}, rules={"r": on_hgx})
    both = replace(value.releases["new"], profiles=("pcie", "hgx"))
    found = compare(value, value.releases["old"], value, both)
    assert [(s.rule, s.outcome) for s in found.come] == [("r", Outcome.BROKEN)]
    assert between(value, "new").come == ()


def graph() -> Edges:
    versions = {"4.18.52": Version("4.18.52"), "4.18.53": Version("4.18.53", previous=frozenset({"4.18.52"}))}
    always = Risk("Always", True, "g", "u", "high", {"4.18.53": ".*"}, (SOURCE,), HERE)
    some = Risk("Some", False, "g", "u", "low", {"4.18.53": "^4[.]18[.]52"}, (SOURCE,), HERE)
    other = Risk("Other", False, "g", "u", "low", {"4.18.53": "^4[.]17"}, (SOURCE,), HERE)
    return Edges("openshift", versions, graph=True, risks={r.name: r for r in (always, some, other)})


def test_the_risks_of_the_update_are_named() -> None:
    value = matrix(release("new", openshift="4.18.53"), edges={"openshift": graph()})
    (met,) = between(value, "new").updates
    assert (met.one_step, met.always, met.conditional) == (True, ("Always",), ("Some",))


def test_what_is_no_single_update_says_so() -> None:
    value = matrix(release("new", openshift="4.19.1"), edges={"openshift": graph()})
    assert [m.one_step for m in between(value, "new").updates] == [False]


def revision(value: Matrix, **evidence: str) -> Revision:
    return Revision(value, evidence)


def test_the_same_matrix_has_no_change_also_where_lines_moved() -> None:
    moved = replace(release("old"), where=Location("test.yaml", 99))
    assert changes(revision(matrix()), revision(matrix(moved))).changes == ()


def test_what_was_added_removed_and_changed_is_named_with_its_place() -> None:
    old = matrix(release("gone"), rules=(rule("r", {}, {"gpu-operator": "26.x"}),))
    revoked = replace(release("old"), status=ReleaseStatus.REVOKED, reason="a bad cable")
    new = matrix(
        revoked,
        release("new"),
        rules=(rule("r", {}, {"gpu-operator": "27.x"}),),
        edges={"openshift": graph()},
    )
    found = changes(revision(old, a="rehearsed"), revision(new, a="rehearsed", b="known-good"))
    assert {(c.kind, c.name, c.how) for c in found.changes} == {
        ("release", "gone", "removed"),
        ("release", "new", "added"),
        ("release", "old", "changed"),
        ("rule", "r", "changed"),
        ("edges of openshift", "version 4.18.52", "added"),
        ("edges of openshift", "version 4.18.53", "added"),
        *(("edges of openshift", f"risk {name}", "added") for name in ("Always", "Some", "Other")),
        ("evidence", "b", "added"),
    }
    what = {c.name: c.what for c in found.changes}
    assert what["old"] == ("status: candidate → revoked", "reason: nothing → a bad cable")
    assert what["r"] == ("require.gpu-operator: 26.x → 27.x",)


def test_a_new_release_is_compared_with_the_one_that_it_supersedes() -> None:
    new = replace(release("new", nvidia_driver="595.91.07"), supersedes="old")
    (found,) = changes(revision(matrix()), revision(matrix(new))).releases
    assert (found.before, found.after, [m.component for m in found.moves]) == (
        "old",
        "new",
        ["nvidia-driver"],
    )


def test_a_changed_release_is_compared_with_what_it_was() -> None:
    (found,) = changes(
        revision(matrix()), revision(matrix(release("old", nvidia_driver="595.91.07")))
    ).releases
    assert [(m.before, m.after) for m in found.moves] == [("580.173.02", "595.91.07")]


def test_what_can_not_be_read_is_neither_new_nor_gone() -> None:
    broken = Revision(matrix(), unread=frozenset({("releases", "new")}))
    found = changes(broken, revision(matrix(release("new"))))
    assert (found.changes, found.unread) == ((), ("releases/new",))


def test_a_release_whose_versions_can_not_be_read_is_named_and_the_others_compared() -> None:
    """The versions of a pull request are read as they are: `nvidia-driver: 595` is a line, no version."""
    bad = replace(release("bad", nvidia_driver="595"), supersedes="old")
    good = replace(release("good", nvidia_driver="595.91.07"), supersedes="old")
    found = changes(revision(matrix()), revision(matrix(bad, good)))
    assert [r.after for r in found.releases] == ["good"]
    assert found.unread == ("releases/bad",)


def test_a_range_that_can_not_be_read_is_no_crash() -> None:
    new = replace(release("new", nvidia_driver="595.91.07"), supersedes="old")
    kernel = replace(
        component("rhcos-kernel", "kernel"), follows=Follows("openshift", {"4.18": "5.14.0-427.el9_4"})
    )
    found = changes(revision(matrix()), revision(with_component(matrix(new), kernel)))
    assert (found.releases, found.unread) == ((), ("releases/new",))


def test_openshift_is_not_undone_within_a_minor_either_as_plan_says() -> None:
    found = between(matrix(release("new", openshift="4.18.53")), "new")
    assert ([m.undo for m in found.moves], found.undoable) == ([UndoClass.FORWARD_ONLY], False)
    assert "can't be undone: openshift is forward-only" in release_text(found)
