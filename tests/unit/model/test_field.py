"""A field in Git and its object, as the journal and a frozen plan have them."""

from __future__ import annotations

from knowngood.model.field import FieldChange, ObjectRef
from knowngood.model.jsonable import from_json, to_json

DRIVER = {"apiVersion": "nvidia.com/v1alpha1", "kind": "NVIDIADriver", "name": "ring-0"}
POLICY = {**DRIVER, "kind": "NicNodePolicy", "namespace": "nvidia-network-operator"}
FROZEN = {
    "component": "nvidia-driver",
    "file": "nvidiadriver-ring-0.yaml",
    "path": "spec.version",
    "before": "580.173.02",
    "after": "595.91.07",
}


def test_a_plan_that_was_frozen_before_reads_and_writes_as_it_was() -> None:
    for named in (DRIVER, POLICY):
        frozen = {**FROZEN, "object": named}
        change = from_json(FieldChange, frozen)
        assert to_json(change) == frozen
        assert to_json(change.inverse()) == {**frozen, "before": "595.91.07", "after": "580.173.02"}


def test_an_object_of_a_ring_has_the_rings_name() -> None:
    ref = ObjectRef("v1", "NVIDIADriver", "gpu-{ring}")
    assert str(ref.of_ring("ring-1")) == "NVIDIADriver gpu-ring-1"
