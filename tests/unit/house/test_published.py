"""The published schemas are taken strictly, or a test that asks them could not fail."""

from __future__ import annotations

from typing import Any

import pytest
from tests.published import needs_definitions, problems

RING: dict[str, Any] = {
    "apiVersion": "nvidia.com/v1alpha1",
    "kind": "NVIDIADriver",
    "metadata": {"name": "ring-0"},
}
SPEC = {
    "default": False,
    "driverType": "gpu",
    "version": "580.173.02",
    "image": "driver",
    "repository": "mirror.example.com",
}


@pytest.mark.parametrize("wrong", [{"dta": {}}, {"data": {"a": 1}}, {"immutable": "yes"}])
def test_a_built_in_object_with_an_unknown_or_wrong_field_is_none(wrong: dict[str, Any]) -> None:
    good = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    assert problems(good) == []
    assert problems({**good, **wrong})


@needs_definitions
@pytest.mark.parametrize(
    "wrong", [{"verion": "1"}, {"version": 580}, {"upgradePolicy": {"autoUpgrad": False}}]
)
def test_a_custom_object_with_an_unknown_or_wrong_field_is_none(wrong: dict[str, Any]) -> None:
    assert problems({**RING, "spec": SPEC}) == []
    assert problems({**RING, "spec": {**SPEC, **wrong}})


@needs_definitions
def test_a_kind_that_nobody_published_is_named() -> None:
    with pytest.raises(AssertionError, match="Ring in nvidia"):
        problems({**RING, "kind": "Ring"})
