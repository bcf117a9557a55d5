"""What a BMC says of its machine's firmware, and what it leaves out."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from knowngood.model.bmcs import BmcState
from knowngood.planner.readiness.bmcs import against


@pytest.mark.parametrize(
    ("versions", "said"),
    [
        ({"bios": "2.3.5"}, []),
        ({"bios": "2.3.4"}, ["fail it runs bios 2.3.4, the plan starts from 2.3.5"]),
        ({"bmc": "7.1"}, ["inconclusive it does not tell which bios runs"]),
        ({}, ["inconclusive it does not tell which bios runs"]),
    ],
)
def test_a_version_that_is_asked_for_and_not_told_is_no_yes(
    versions: Mapping[str, str], said: list[str]
) -> None:
    wanted = {"bios": "2.3.5", "nvidia-driver": "580.65.06"}
    found = against("gpu-1", BmcState(versions), wanted, {})
    assert [f"{f.verdict.value} {f.what}" for f in found] == said
    assert [*against("gpu-1", BmcState(versions), {}, {})] == [], "nothing is asked for"
