"""What a node's labels ask for counts where who acts on them is at rest, and no label is told only where it fits."""

from __future__ import annotations

import pytest

from knowngood.adapters.cluster import facts, node_state
from knowngood.model.mover import Mark, MoverSpec, NodeLabel, Seen

LAYOUT, STATE, KEY = "example.com/layout", "example.com/layout.state", "example.com/shares"
SPECS = {
    "layout": MoverSpec("label", label=NodeLabel(LAYOUT, Seen.PARTED, "app=manager", STATE, "none")),
    "shares": MoverSpec("label", label=NodeLabel(KEY, Seen.SHARED, "app=plugin")),
    "other": MoverSpec("daemon-driver"),
}


def found(labels: dict[str, str], instances: dict[str, str] | None = None) -> dict[str, str]:
    return node_state.of_labels({"metadata": {"labels": labels}}, SPECS, instances)


@pytest.mark.parametrize("state", ["", "pending", "rebooting", "failed"])
def test_what_is_not_made_yet_is_no_version(state: str) -> None:
    assert found({LAYOUT: "sevenths", **({STATE: state} if state else {})}) == {}
    assert found({LAYOUT: "sevenths", STATE: "success"}) == {"layout": "sevenths"}


def test_a_node_without_the_label_has_what_that_stands_for_unless_it_is_parted() -> None:
    assert found({}, {"gpu0": ""}) == {"layout": "none"}
    assert found({}, {"gpu0": "gi0 gi0/ci0"}) == {}, "somebody has parted it by hand"


def test_a_label_of_which_nobody_says_how_far_it_is_counts_as_it_is() -> None:
    assert found({KEY: "four-times"}) == {"layout": "none", "shares": "four-times"}


def test_what_came_by_a_label_is_dated_by_the_drivers_load() -> None:
    banner = "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  595.91.07  Release Build"
    line = {"MESSAGE": banner, "_BOOT_ID": "b1", "__MONOTONIC_TIMESTAMP": "7500000"}
    marks = node_state.marks_in([line], SPECS, {}, {"layout": "sevenths"})
    assert marks == {"layout": Mark("sevenths", "b1", 7.5)}
    assert facts.proof_of(SPECS["other"]) is None
