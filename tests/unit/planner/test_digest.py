"""What of a cluster file or a profile may change under a run, and how a change that may not is named."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from tests.unit.planner.test_status import PROFILE as SHIPPED

from knowngood.model.errors import Location
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.matrix import Disruption, Profile
from knowngood.planner.digest import changed, profile_changed

BEFORE: dict[str, Any] = {
    "release": "r580",
    "rings": [{"name": "ring-0", "nodes": ["a"], "batch": 1}],
    "tenants": [{"name": "vision", "namespaces": ["vision"], "contact": "vision-oncall"}],
    "gitops": {"repo": "https://git.example.com/x.git", "branch": "main", "credentials": "env:TOKEN"},
    "bmcs": {"at": "https://{node}.example.com", "credentials": "env:BMC"},
    "limits": {"drainSeconds": 1800},
}


def after(*path: str | int, value: Any) -> tuple[str, ...]:
    """The changes when one place says something else."""
    now = deepcopy(BEFORE)
    at: Any = now
    for part in path[:-1]:
        at = at[part]
    at[path[-1]] = value
    return changed(BEFORE, now, "r595")


def test_nothing_has_changed() -> None:
    assert changed(BEFORE, deepcopy(BEFORE), "r595") == ()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("tenants", 0, "contact"), "somebody else"),
        (("gitops", "credentials"), "file:/run/secrets/token"),
        (("bmcs", "credentials"), "file:/run/secrets/bmc"),
        (("release",), "r595"),  # our own promotion, done just before the kill
    ],
)
def test_what_does_not_bind_a_run_may_change(path: tuple[str | int, ...], value: str) -> None:
    assert after(*path, value=value) == ()


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("release",), "r610", "release is r610, was r580"),
        (("limits", "drainSeconds"), 60, "limits.drainSeconds is 60, was 1800"),
        (("limits", "soakSeconds"), 60, "limits.soakSeconds is 60, was not there"),
        (("rings", 0, "nodes"), ["a", "b"], "rings differs"),
        (("tenants", 0, "namespaces"), [], "tenants differs"),
        (("gitops", "branch"), "next", "gitops.branch is next, was main"),
        (("policy",), {"onWaveFailure": "undo"}, "policy differs"),
    ],
)
def test_everything_else_is_named(path: tuple[str | int, ...], value: Any, said: str) -> None:
    assert after(*path, value=value) == (said,)


def test_what_is_gone_is_named() -> None:
    now = {key: value for key, value in BEFORE.items() if key != "limits"}
    assert changed(BEFORE, now, "r595") == ("limits differs",)


PROFILE = replace(
    SHIPPED,
    gates={"gpu_errors": {"kind": "passive", "maxSameXid": 0}, "drift": {"kind": "passive"}},
)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"gates": {**PROFILE.gates, "gpu_errors": {"kind": "passive", "maxSameXid": 9}}},
            "gates.gpu_errors.maxSameXid is 9, was 0",
        ),
        ({"gates": {"drift": {"kind": "passive"}}}, "gates.gpu_errors differs"),
        ({"gpus": 7}, "gpus is 7, was 8"),
    ],
)
def test_a_profile_that_judges_otherwise_is_named(change: dict[str, Any], said: str) -> None:
    assert profile_changed(PROFILE, replace(PROFILE, **change)) == (said,)


def test_where_a_profiles_facts_come_from_does_not_bind_a_run() -> None:
    moved = replace(
        PROFILE, sources=(), where=Location("elsewhere.yaml", 3), minutes_out={Disruption.DRAIN: 9}
    )
    assert profile_changed(PROFILE, moved) == ()
    kept = from_json(Profile, json.loads(json.dumps(to_json(PROFILE))))
    assert profile_changed(kept, PROFILE) == (), "what a run kept of it says the same"
