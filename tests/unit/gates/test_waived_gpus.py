"""drift: a GPU that is known to be bad may be out, and no other one for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest
from tests.unit.planner.matrices import cluster

from knowngood.gate.settling import Seconds, Waits
from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Profile
from knowngood.model.node import NodeState
from knowngood.model.parts import Waiver

from .conftest import gate, healthy, request, verdict

DRIFT = gate("drift")


def test_a_node_whose_waived_gpu_is_out_is_waited_for_as_any_other(profile: Profile) -> None:
    """Its operands restart, too; without the waiver there is nothing to wait for."""
    gpus, asked = healthy().gpus, []
    late = healthy(gpus=gpus[:7], allocatable={"nvidia.com/gpu": "0"})

    def settle(waits: Waits, _: Seconds) -> Mapping[str, NodeState]:
        asked.append(waits(late))
        return {}

    for waivers in ((), (Waiver("gpu-1", "drift", gpus[7], "on order", "2099-12-31"),)):
        where = replace(cluster(), waivers=waivers)
        DRIFT.states_at_rest.__wrapped__(request(), Hardware((profile,)), where, settle)
    assert asked == [False, True]


UUIDS = {f"0000:{i:02x}:00.0": f"GPU-{i:08x}-{i:04x}" for i in range(8)}
WHOLE = [f"{UUIDS['0000:07:00.0']}-4000-8000-000000000000", "0000:07:00.0"]


@pytest.mark.parametrize(
    ("waived", "gpus", "before", "expected"),
    [
        ([], 7, False, "fail"),
        (WHOLE[1:], 7, False, "pass"),
        (WHOLE[1:], 6, False, "fail"),
        (WHOLE, 8, False, "pass"),
        (WHOLE[:1], 8, False, "pass"),
        (WHOLE[:1], 7, False, "inconclusive"),
        (WHOLE[:1], 7, True, "pass"),
        (WHOLE, 6, True, "fail"),
        (["0000:03:00.0"], 7, False, "fail"),
        (["0000:99:00.0"], 7, True, "fail"),
        (WHOLE[1:], 9, False, "fail"),
    ],
    ids=[
        "none",
        "by address",
        "a second one",
        "it is there",
        "it is there by UUID",
        "a UUID of nobody knows which",
        "a UUID that the baseline places",
        "both names are one",
        "another one is waived",
        "another one was there before",
        "one too many",
    ],
)
def test_a_waived_gpu_may_be_missing_and_no_other(
    profile: Profile, waived: list[str], gpus: int, before: bool, expected: str
) -> None:
    """Taken out, or fallen off: known, on order, and told."""
    there = tuple(f"0000:{i:02x}:00.0" for i in range(gpus))
    told = {a: f"minor {n}, {UUIDS[a]}" for n, a in enumerate(there) if a in UUIDS}
    state = healthy(gpus=there, allocatable={"nvidia.com/gpu": f"{gpus}"}, inventory={"gpus": told})
    found, why, notes = verdict(
        DRIFT.test_operands_work_and_nothing_is_parked,
        waivers=[Waiver("gpu-1", "drift", part, "replacement ordered", "2099-12-31") for part in waived],
        node="gpu-1",
        states_at_rest={"gpu-1": state},
        profile=replace(profile, gpu_pci_addresses=tuple(UUIDS)),
        baseline={"places": UUIDS} if before else None,
    )
    assert found == expected, why
    noted = len(waived) if gpus < 8 and expected != "fail" else 0
    assert expected == "fail" or len(notes.waived) == noted


@pytest.mark.parametrize(
    ("known", "gpus", "expected"),
    [
        ("", 7, "inconclusive"),
        ("", 8, "inconclusive"),
        ("", 6, "fail"),
        ("profile", 7, "pass"),
        ("baseline", 7, "pass"),
    ],
)
def test_a_waiver_of_a_place_that_nobody_knows_excuses_no_gpu(
    profile: Profile, known: str, gpus: int, expected: str
) -> None:
    """Mistyped, it would stand for any that is lost; and it can be told at once, before one is."""
    place, where = "00000000:07:00.0", "clusters/a.yaml:57:9"
    others = {a: u for a, u in UUIDS.items() if known or a != "0000:07:00.0"}
    there = [*(a for a in UUIDS if a != "0000:07:00.0"), "0000:0f:00.0"][:gpus]
    found, why, _ = verdict(
        DRIFT.test_operands_work_and_nothing_is_parked,
        waivers=[Waiver("gpu-1", "drift", place, "replacement ordered", "2099-12-31", where)],
        node="gpu-1",
        states_at_rest={"gpu-1": healthy(gpus=tuple(there), allocatable={"nvidia.com/gpu": f"{gpus}"})},
        profile=replace(profile, gpu_pci_addresses=tuple(others) if known == "profile" else ()),
        baseline={"places": others} if known == "baseline" else None,
    )
    assert found == expected, why
    assert expected != "inconclusive" or f"clusters/a.yaml:57:9 waives {place}, a place that" in why
