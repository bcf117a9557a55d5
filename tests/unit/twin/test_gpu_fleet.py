"""Whose each GPU node is, and which pools of nodes a driver has, as the GPU Operator decides it."""

from __future__ import annotations

import pytest

from knowngood.twin.behaviours.gpu_fleet import Fleet
from knowngood.twin.behaviours.gpu_manifests import OWNER_LABEL, PRESENT_LABEL
from knowngood.twin.behaviours.kube import KERNEL_LABEL, OS_ID_LABEL, OS_VERSION_LABEL, OSTREE_LABEL
from knowngood.twin.behaviours.node_pools import Pool, pool_of
from knowngood.twin.values import Object

RING = "example.com/ring"
BUILD, OTHER = "418.94.1-0", "418.94.2-0"


def labels(ring: str = "", owner: str = "", **more: str) -> dict[str, str]:
    """A GPU node's."""
    found = {PRESENT_LABEL: "true", OS_ID_LABEL: "rhcos", OS_VERSION_LABEL: "4.18", OSTREE_LABEL: BUILD}
    found[KERNEL_LABEL] = "5.14.0-427.el9_4.x86_64"
    return found | ({RING: ring} if ring else {}) | ({OWNER_LABEL: owner} if owner else {}) | more


def driver(name: str, **spec: object) -> Object:
    """An NVIDIADriver, for the ring of its name unless told otherwise."""
    return {"metadata": {"name": name}, "spec": spec or {"nodeSelector": {RING: name}}}


def fleet(*drivers: Object, **nodes: dict[str, str]) -> Fleet:
    """With these objects and nodes."""
    made = Fleet(openshift=True)
    for obj in drivers:
        made.set_driver(obj)
    for name, its in nodes.items():
        made.set_node(name, its)
    return made


def test_a_selective_driver_beats_the_default_one() -> None:
    found = fleet(driver("ring-0"), driver("rest", default=True), a=labels("ring-0"), b=labels())
    assert (found.owner("a"), found.owner("b")) == ("ring-0", "rest")
    assert found.misplaced == {"a", "b"}
    found.set_node("a", labels("ring-0", owner="ring-0"))
    assert found.misplaced == {"b"}


def test_two_drivers_on_one_node_are_trouble_for_all_and_its_owner_stays() -> None:
    found = fleet(driver("ring-0"), driver("ring-1"), a=labels("ring-0", owner="ring-0"), b=labels("ring-1"))
    assert found.trouble == ""
    found.set_driver(driver("overlap", nodeSelector={PRESENT_LABEL: "true", RING: "ring-0"}))
    assert found.trouble == "multiple NVIDIADrivers match the same node a: [overlap ring-0]"
    assert "a" not in found.misplaced
    found.drop_driver("overlap")
    assert found.trouble == ""


@pytest.mark.parametrize(
    ("before", "after", "noticed"),
    [
        (labels(), labels("ring-1"), False),  # no owner yet: it waits for another event
        (labels(owner="rest"), labels("ring-1", owner="rest"), False),  # so does one of the default driver
        (labels("ring-1", owner="ring-1"), labels("ring-0", owner="ring-1"), True),
        (labels("ring-1", owner="ring-1"), labels("", owner="ring-1"), True),
        (labels("ring-1", owner="ring-1"), labels("ring-1", owner="ring-1", other="x"), False),
        (labels("ring-1"), labels("ring-1") | {OSTREE_LABEL: OTHER}, True),
        (labels("ring-1"), labels("ring-1") | {PRESENT_LABEL: "false"}, True),
    ],
)
def test_not_every_change_of_a_ring_label_is_noticed(
    before: dict[str, str], after: dict[str, str], noticed: bool
) -> None:
    found = fleet(driver("ring-0"), driver("ring-1"), driver("rest", default=True), a=before)
    assert found.set_node("a", after)[0] is noticed


def test_what_was_not_noticed_is_done_with_the_next_event() -> None:
    found = fleet(driver("ring-1"), a=labels())
    found.set_node("a", labels("ring-1"))
    assert found.misplaced == {"a"}, "whoever assigns next finds it"


def test_pools_are_of_the_nodes_that_are_labelled_as_the_drivers_own() -> None:
    found = fleet(driver("ring-0"), a=labels("ring-0", owner="ring-0"), b=labels("ring-0"))
    assert found.pools("ring-0") == [Pool("rhcos", "4.18", BUILD)]
    found.set_node("b", labels("ring-0", owner="ring-0") | {OSTREE_LABEL: OTHER})
    assert [pool.build for pool in found.pools("ring-0")] == [BUILD, OTHER]
    found.set_node("b", labels("ring-1", owner="ring-0") | {OSTREE_LABEL: OTHER})
    found.drop_node("a")
    assert found.pools("ring-0") == []


def test_precompiled_drivers_go_by_the_kernel() -> None:
    found = fleet(driver("ring-0"), a=labels("ring-0", owner="ring-0"))
    found.set_driver(driver("ring-0", nodeSelector={RING: "ring-0"}, usePrecompiled=True))
    assert found.pools("ring-0") == [Pool("rhcos", "4.18", kernel="5.14.0-427.el9_4.x86_64")]
    assert found.pools("ring-0")[0].plain_kernel == "5.14.0-427.el9.4"


@pytest.mark.parametrize("missing", [OS_ID_LABEL, OS_VERSION_LABEL, OSTREE_LABEL, PRESENT_LABEL])
def test_a_node_of_which_nfd_says_too_little_is_in_no_pool(missing: str) -> None:
    its = labels()
    del its[missing]
    assert pool_of(its, openshift=True, precompiled=False) is None
    assert (pool_of(its, openshift=False, precompiled=False) is None) is (missing != OSTREE_LABEL)


@pytest.mark.parametrize(
    ("os_id", "version", "tag"),
    [
        ("rhcos", "4.18", "rhcos4.18"),
        ("ubuntu", "22.04", "ubuntu22.04"),
        ("rhel", "9.4", "rhel9.4"),
        ("rhel", "10.0", "rhel10"),
        ("rocky", "9.4", "rocky9"),
    ],
)
def test_the_images_tag_names_the_operating_system(os_id: str, version: str, tag: str) -> None:
    assert Pool(os_id, version).tag == tag
