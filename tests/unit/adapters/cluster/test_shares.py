"""A configuration of the device plugin that can't be understood is told as one."""

from __future__ import annotations

import pytest

from knowngood.adapters.cluster.parting import shares


@pytest.mark.parametrize(
    "config",
    [
        "x",
        {"sharing": "x"},
        {"sharing": {"timeSlicing": [1]}},
        {"sharing": {"mps": {"resources": ["gpu"]}}},
        {"sharing": {"mps": {"resources": {"name": "gpu"}}}},
    ],
)
def test_a_configuration_that_cant_be_understood_says_so(config: object) -> None:
    with pytest.raises(ValueError, match=r"is no (map|list)"):
        shares(config)
