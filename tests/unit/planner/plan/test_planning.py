"""A plan is the difference between what Git declares and a release, or a refusal that names every reason."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.planner.matrices import (
    cluster,
    component,
    declaration,
    matrix,
    profile,
    release,
    rule,
    with_component,
)

from knowngood.model.declared import Scope
from knowngood.model.errors import Refused, UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.gitops import PullRequests
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.matrix import Disruption, Matrix, Release, UndoClass
from knowngood.model.mover import MoverSpec
from knowngood.model.plan import Move, Plan, Resting
from knowngood.model.probe_pod import PodSite
from knowngood.planner.plan.planning import plan, refuse_unmovable

NEW = release("new", nvidia_driver="595.91.07")


def refusal(value: Matrix, to: str = "new", declared: dict[tuple[str, str], str] | None = None) -> str:
    with pytest.raises(Refused) as caught:
        plan(value, "lab", to, declared=declared)
    assert caught.value.hint
    return caught.value.message


def unmovable(made: Plan) -> str:
    with pytest.raises(Refused) as caught:
        refuse_unmovable(made)
    assert caught.value.hint
    return caught.value.message


def test_a_driver_move_is_one_hop_ring_by_ring_in_batches() -> None:
    made = plan(matrix(NEW), "lab", "new")
    (hop,) = made.hops
    assert hop.moves == (Move("nvidia-driver", "580.173.02", "595.91.07"),)
    assert (hop.scope, hop.disruption, hop.undo) == (
        Scope.NODE,
        Disruption.DRAIN,
        UndoClass.REVERT_DISRUPTIVE,
    )
    assert [(r.name, r.batches) for r in hop.rings] == [
        ("ring-0", (("a", "b"), ("c",))),
        ("ring-1", (("d",),)),
    ]
    assert made.nodes == ("a", "b", "c", "d")
    assert made.matrix_commit == "c0ffee"
    assert made.schemes["nvidia-driver"] == "nvidia-driver"


def test_each_ring_changes_one_field_of_its_own_file_and_object() -> None:
    (hop,) = plan(matrix(NEW), "lab", "new").hops
    (change,) = hop.rings[1].changes
    assert (change.file, change.path) == ("gpu/nvidia-driver-ring-1.yaml", "spec.version")
    assert (change.before, change.after) == ("580.173.02", "595.91.07")
    assert change.object == ObjectRef("v1", "Driver", "ring-1")


def test_the_way_back_is_the_inverse_of_the_way_there() -> None:
    value = matrix(NEW)
    there = plan(value, "lab", "new")
    moved = replace(value, clusters={"lab": replace(value.clusters["lab"], release="new")})
    back = plan(moved, "lab", "old")
    inverse = [change.inverse() for ring in there.hops[0].rings for change in ring.changes]
    assert [change for ring in back.hops[0].rings for change in ring.changes] == inverse


def test_nothing_to_do_is_a_plan_without_hops() -> None:
    assert plan(matrix(NEW), "lab", "old").hops == ()


def test_what_git_declares_counts_not_what_the_pin_says() -> None:
    declared = {("nvidia-driver", "ring-0"): "595.91.07", ("nvidia-driver", "ring-1"): "580.173.02"}
    made = plan(matrix(NEW), "lab", "new", declared=declared)
    assert [r.name for r in made.hops[0].rings] == ["ring-1"]
    assert "ring-0 already" in made.warnings[0]


def test_a_half_moved_cluster_can_go_back_to_its_pin() -> None:
    made = plan(matrix(NEW), "lab", "old", declared={("nvidia-driver", "ring-0"): "595.91.07"})
    (ring,) = made.hops[0].rings
    assert (ring.name, ring.changes[0].before, ring.changes[0].after) == ("ring-0", "595.91.07", "580.173.02")


def test_a_third_version_in_git_is_refused_because_an_undo_would_restore_it() -> None:
    said = refusal(matrix(NEW), declared={("nvidia-driver", "ring-1"): "590.48.01"})
    assert "Git declares nvidia-driver '590.48.01' for ring-1" in said


def test_a_plan_survives_the_journal() -> None:
    made = plan(matrix(NEW), "lab", "new")
    assert from_json(Plan, to_json(made)) == made


def test_the_digest_is_of_what_the_cluster_file_says() -> None:
    value = matrix(NEW)
    changed = replace(value.clusters["lab"], raw={"release": "other"})
    same = plan(value, "lab", "new").cluster_digest
    assert plan(value, "lab", "new").cluster_digest == same
    assert plan(replace(value, clusters={"lab": changed}), "lab", "new").cluster_digest != same


@pytest.mark.parametrize(("cluster_name", "to", "hint"), [("lba", "new", "lab"), ("lab", "nwe", "new")])
def test_an_unknown_name_is_a_usage_error_that_guesses(cluster_name: str, to: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        plan(matrix(NEW), cluster_name, to)
    assert caught.value.hint == f"did you mean {hint}?"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (release("new", "revoked", nvidia_driver="595.91.07"), "new is revoked: Xid 31 on every node"),
        (replace(NEW, profiles=("hgx",)), "new is meant for hgx, lab is pcie"),
    ],
)
def test_a_release_that_can_not_be_reached_is_refused(target: Release, words: str) -> None:
    assert words in refusal(matrix(target))


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (release("new", gpu_operator="26.7.1"), "gpu-operator 26.7.0 to 26.7.1: not yet movable"),
        (
            release("new", kernel_module_type="proprietary"),
            "kernel-module-type open to proprietary: not yet movable",
        ),
        (release("new", openshift="4.19.1"), "openshift 4.18.52 to 4.19.1: not yet movable"),
    ],
)
def test_what_can_not_be_moved_yet_is_planned_but_not_made(target: Release, words: str) -> None:
    made = plan(matrix(target), "lab", "new")
    assert words in unmovable(made)
    (reason,) = [reason for hop in made.hops for reason in hop.not_movable]
    assert reason.startswith(words)
    assert "has no mover (a mover of one of our classes" in reason, "what would have to change is said, too"


def test_what_is_only_judged_is_not_even_planned() -> None:
    judged = replace(component("doca-ofed", "doca-ofed"), judged_only=True)
    target = release("new", doca_ofed="26.04-1.1.0.0-1")
    said = refusal(with_component(matrix(target), judged))
    assert "doca-ofed 25.10-1.2.8.0-2 to 26.04-1.1.0.0-1: not movable" in said


def test_every_reason_is_named_at_once() -> None:
    revoked = replace(release("new", "revoked"), profiles=("hgx",))
    said = refusal(matrix(revoked))
    assert "revoked" in said
    assert "meant for hgx" in said
    both = plan(matrix(release("new", gpu_operator="26.7.1", openshift="4.19.1")), "lab", "new")
    assert unmovable(both).count("not yet movable") == 2


def test_a_release_that_breaks_a_blocking_rule_is_refused_with_rule_and_source() -> None:
    blocking = rule("only-lts", {}, {"nvidia-driver": "580.x"})
    said = refusal(matrix(NEW, rules=(blocking,)))
    assert "nvidia-driver 595.91.07: only-lts says no (rule only-lts, source: vendor page 7)" in said


def test_a_broken_warning_and_an_unanswered_rule_are_shown() -> None:
    rules = (
        rule("prefer-lts", {}, {"nvidia-driver": "580.x"}, severity="warn"),
        rule("needs-bios", {}, {"kernel-module-type": "open", "doca-ofed": "*"}),
    )
    target = release("new", nvidia_driver="595.91.07", doca_ofed=None)
    warnings = plan(matrix(target, rules=rules), "lab", "new").warnings
    assert any("prefer-lts" in w for w in warnings)
    assert any("does not name doca-ofed" in w for w in warnings)


def test_a_half_way_state_that_breaks_a_blocking_rule_is_refused() -> None:
    """The target leaves DOCA-OFED out, so it stays as it is, and the new driver does not go with it."""
    blocking = rule(
        "new-driver-new-ofed", {"nvidia-driver": ">=595", "doca-ofed": "*"}, {"doca-ofed": ">=26.04"}
    )
    target = release("new", nvidia_driver="595.91.07", doca_ofed=None)
    said = refusal(matrix(target, rules=(blocking,)))
    assert "at least this would have to give: new-driver-new-ofed says no (rule new-driver-new-ofed" in said


def test_the_order_follows_from_the_rules() -> None:
    """DOCA-OFED and driver both move; the driver first would break the rule that both ends keep."""
    both = rule("together", {"nvidia-driver": ">=595"}, {"doca-ofed": ">=26.04"})
    target = release("new", nvidia_driver="595.91.07", doca_ofed="26.04-1.1.0.0-1")
    movable = component("doca-ofed", "doca-ofed", movable=True)
    for order in (("nvidia-driver", "doca-ofed"), ("doca-ofed", "nvidia-driver")):
        clusters = {"lab": cluster(*(declaration(name) for name in order))}
        value = with_component(matrix(target, rules=(both,), clusters=clusters), movable)
        made = plan(value, "lab", "new")
        assert [(h.name, h.moves[0].component) for h in made.hops] == [
            ("hop-1", "doca-ofed"),
            ("hop-2", "nvidia-driver"),
        ]
        assert made.hops[0].why[0].startswith("must come before hop-2: doca-ofed 25.10-1.2.8.0-2: together")
        assert made.hops[1].why[0].startswith("waits for hop-1: doca-ofed 25.10-1.2.8.0-2: together")
        assert made.resting == (
            Resting("hop-1", {"doca-ofed": "26.04-1.1.0.0-1", "nvidia-driver": "580.173.02"}),
        )
        refuse_unmovable(made)


def test_components_that_share_a_drain_move_in_one_hop() -> None:
    target = release("new", nvidia_driver="595.91.07", doca_ofed="26.04-1.1.0.0-1")
    shares = replace(component("doca-ofed", "doca-ofed", movable=True), moves_with=("nvidia-driver",))
    clusters = {"lab": cluster(declaration("nvidia-driver"), declaration("doca-ofed"))}
    (hop,) = plan(with_component(matrix(target, clusters=clusters), shares), "lab", "new").hops
    assert [m.component for m in hop.moves] == ["nvidia-driver", "doca-ofed"]
    assert [c.component for c in hop.rings[0].changes] == ["nvidia-driver", "doca-ofed"]


def test_a_component_that_git_does_not_declare_is_not_moved() -> None:
    value = matrix(NEW, clusters={"lab": cluster(declaration("doca-ofed"))})
    assert "lab does not say where Git declares it" in unmovable(plan(value, "lab", "new"))


def test_no_way_back_is_planned_and_said() -> None:
    forward = component("nvidia-driver", "nvidia-driver", movable=True, undo="forward-only")
    made = plan(with_component(matrix(NEW), forward), "lab", "new")
    assert made.point_of_no_return == "hop-1"


def test_a_release_that_does_not_say_what_was_there_is_no_way_back() -> None:
    unknown = matrix(NEW, releases={"old": release("old", nvidia_driver=None), "new": NEW})
    assert "no way back, old does not say what it was" in refusal(unknown)


def test_what_an_undo_would_return_to_is_said() -> None:
    value = matrix(NEW, rules=(rule("no-580", {}, {"nvidia-driver": "!=580.x"}),))
    revoked = replace(value, releases={**value.releases, "old": release("old", "revoked")})
    warnings = plan(revoked, "lab", "new").warnings
    assert any("old is revoked" in w and "an undo returns to it" in w for w in warnings)
    assert any("no-580" in w for w in warnings)


def test_a_deprecated_release_is_allowed_and_said() -> None:
    value = matrix(release("new", "deprecated", nvidia_driver="595.91.07"))
    assert "new is deprecated" in plan(value, "lab", "new").warnings


def test_gates_are_split_by_kind_and_by_what_the_machine_has() -> None:
    gates = profile(
        smoke={"kind": "active"},
        drift={"kind": "passive"},
        fabric={"kind": "passive", "needs": "nvswitch"},
        rdma={"kind": "passive", "needs": "rdma"},
    )
    made = plan(matrix(NEW, profiles={"pcie": gates}), "lab", "new")
    assert (made.active_gates, made.passive_gates) == (("smoke",), ("drift", "rdma"))
    assert made.not_applicable == {"fabric": "PowerEdge has no NVSwitch"}
    nvswitch = replace(gates, nvswitch=True, nics=0)
    made = plan(matrix(NEW, profiles={"pcie": nvswitch}), "lab", "new")
    assert made.passive_gates == ("drift", "fabric")
    assert made.not_applicable == {"rdma": "PowerEdge has no RDMA ports"}


def test_a_gate_of_the_minimum_set_that_the_profile_leaves_out_is_said() -> None:
    gates = {name: gate for name, gate in profile().gates.items() if name != "gpu_errors"}
    warnings = plan(matrix(NEW, profiles={"pcie": profile(**gates)}), "lab", "new").warnings
    assert [w for w in warnings if "leaves out" in w] == [
        "profile pcie leaves out gpu_errors (the driver complains of no GPU): without it nothing becomes known-good"
    ]
    assert not [w for w in plan(matrix(NEW), "lab", "new").warnings if "leaves out" in w]


@pytest.mark.parametrize(
    ("cuda", "said"), [("12.8", []), ("13.0", ["old"]), ("13.1", ["old", "new"]), ("", [])]
)
def test_an_image_that_is_newer_than_a_driver_of_the_way_is_said(cuda: str, said: list[str]) -> None:
    """Before and after: what an undo comes back to must be judged by the same image."""
    rules = (
        rule("cuda-13", {"cuda": ">=13.0 <14"}, {"nvidia-driver": ">=590"}),
        rule("cuda-13-1", {"cuda": ">=13.1 <14"}, {"nvidia-driver": ">=600"}),
    )
    lab = cluster(declaration("nvidia-driver"))
    clusters = {"lab": replace(lab, probe=PodSite(cuda=cuda))}
    value = with_component(matrix(NEW, rules=rules, clusters=clusters), component("cuda", "numeric"))
    warnings = [w for w in plan(value, "lab", "new").warnings if "the probe's image" in w]
    told = [w.partition(": on ")[2].partition(" ")[0] for w in warnings]
    assert list(dict.fromkeys(told)) == said


def test_the_movers_are_frozen_in_the_plan() -> None:
    """A run that goes on tomorrow reads no newer component file."""
    made = plan(matrix(release("new", nvidia_driver="595.91.07")), "lab", "new")
    assert {name: spec.kind for name, spec in made.movers.items()} == {"nvidia-driver": "daemon-driver"}
    again = from_json(Plan, to_json(made))
    assert again.movers == made.movers
    ring = again.hops[0].rings[0]
    (forth,), (back,) = again.moving(ring), again.moving(ring, undo=True)
    assert (forth.before, forth.after) == (back.after, back.before) == ("580.173.02", "595.91.07")


def test_a_field_that_the_mover_does_not_know_is_not_movable_here() -> None:
    value = matrix(release("new", nvidia_driver="595.91.07"))
    driver = value.components["nvidia-driver"]
    stranger = MoverSpec(kind="daemon-driver", fields={"Driver": {"spec.other": "{version}"}})
    made = plan(with_component(value, replace(driver, mover=stranger)), "lab", "new")
    assert "its mover does not know Driver spec.version in" in unmovable(made)


def test_a_field_in_git_is_read_by_the_mover() -> None:
    """What Git holds need not be the version's own text."""
    value = matrix(release("new", nvidia_driver="595.91.07"))
    driver = value.components["nvidia-driver"]
    tagged = MoverSpec(kind="daemon-driver", fields={"Driver": {"spec.version": "v{version}-slim"}})
    held = {("nvidia-driver", ring.name): "v580.173.02-slim" for ring in value.clusters["lab"].rings}
    made = plan(with_component(value, replace(driver, mover=tagged)), "lab", "new", declared=held)
    (change, *_) = made.hops[0].rings[0].changes
    assert (change.before, change.after) == ("v580.173.02-slim", "v595.91.07-slim")
    assert made.hops[0].rings[0].moves[0].from_version == "580.173.02"


def test_a_plan_of_an_older_version_says_by_its_fields_what_moves() -> None:
    made = plan(matrix(release("new", nvidia_driver="595.91.07")), "lab", "new")
    older = to_json(made)
    del older["movers"]
    for ring in older["hops"][0]["rings"]:
        del ring["own"]
    ring = from_json(Plan, older).hops[0].rings[0]
    assert [(m.component, m.from_version, m.to_version) for m in ring.moves] == [
        ("nvidia-driver", "580.173.02", "595.91.07")
    ]


@pytest.mark.parametrize(("merge", "said"), [((), True), (("gh", "pr", "merge"), False)])
def test_an_undo_that_only_a_human_can_merge_is_said(merge: tuple[str, ...], said: bool) -> None:
    lab = cluster()
    asked = replace(lab.gitops, pull_requests=PullRequests(("gh", "pr", "create"), merge))
    value = matrix(release("new", nvidia_driver="595.91.07"), clusters={"lab": replace(lab, gitops=asked)})
    words = [w for w in plan(value, "lab", "new").warnings if w.startswith("undo needs a human: main takes")]
    assert bool(words) is said


def test_what_the_release_accepts_is_in_the_plan_with_its_reason() -> None:
    """`validate` is silent about it, so whoever says yes to the plan must read it there."""
    why = {"prefer-lts": "the fix is in no LTS branch yet"}
    made = plan(matrix(replace(NEW, accepts=why)), "lab", "new")
    assert made.accepts == to_json(made)["accepts"] == why
    assert from_json(Plan, to_json(made)) == made
    assert plan(matrix(NEW), "lab", "new").accepts == {}
