"""A rehearsal's cluster file is the user's, with a local repository, shorter durations and no identity."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from tests.unit.rehearsal.shipped import matrix, shipped

from knowngood.matrix.schema import fits
from knowngood.model.alerts import Alertmanager
from knowngood.model.matrix import Limits
from knowngood.rehearsal.compress import FLOORS, cluster_file, limits, profile_file

CLUSTERS = sorted(matrix().clusters)


def made(name: str = "ams-prod", scale: float = 600.0) -> dict[str, Any]:
    return cluster_file(shipped(name).cluster, "file:///gitops.git", scale)


@pytest.mark.parametrize("name", CLUSTERS)
@pytest.mark.parametrize("scale", [1.0, 60.0, 1800.0])
def test_it_is_a_cluster_file_by_the_schema(name: str, scale: float) -> None:
    assert fits("cluster", made(name, scale))


@pytest.mark.parametrize("name", sorted(matrix().profiles))
def test_a_profile_asks_for_the_same_and_waits_for_less(name: str) -> None:
    profile = matrix().profiles[name]
    made = profile_file(profile, 600.0)
    assert fits("profile", made)
    assert made["gates"]["drift"]["settleSeconds"] == 10
    for name_, gate in profile.raw["gates"].items():
        if "settleSeconds" in gate:
            assert made["gates"][name_].pop("settleSeconds") <= gate["settleSeconds"]
        if "backend" in gate:
            assert made["gates"][name_].pop("backend") == "reference"
    changed = ("settleSeconds", "backend")
    kept = {n: {k: v for k, v in g.items() if k not in changed} for n, g in profile.raw["gates"].items()}
    assert made == {**profile.raw, "gates": kept}
    assert profile.raw["gates"]["drift"]["settleSeconds"] == 30, "the user's own is left as it was"


def test_no_rehearsal_can_become_evidence_or_reach_out() -> None:
    cluster = shipped("ams-prod").cluster
    asked = {**cluster.raw["gitops"], "pullRequests": {"open": ["gh"]}}
    pinned = {
        **cluster.raw,
        "gitops": asked,
        "identity": {"uid": "u", "ca": "c"},
        "windowEnd": "2026-08-22T06:00:00Z",
        "registry": {},
    }
    data = cluster_file(replace(cluster, raw=pinned), "file:///gitops.git", 60)
    assert "identity" not in data
    assert "windowEnd" not in data
    assert "registry" not in data
    assert data["gitops"]["repo"] == "file:///gitops.git"
    assert "credentials" not in data["gitops"]
    assert "pullRequests" not in data["gitops"], "no command of a team's is run"


def test_the_users_own_file_is_left_as_it_was() -> None:
    before = dict(shipped("ams-prod").cluster.raw["limits"])
    made()
    assert shipped("ams-prod").cluster.raw["limits"] == before


def test_durations_shrink_to_their_floors_and_never_grow() -> None:
    original = Limits(soak=3600.0, drain=30.0)
    short = limits(original, 1000.0)
    assert short.soak == 3.6
    assert short.drain == 30.0, "already below its floor"
    for f in fields(Limits):
        assert getattr(short, f.name) <= getattr(original, f.name)
    assert limits(original, 1.0) == original


def test_every_limit_has_a_floor() -> None:
    assert set(FLOORS) == {f.name for f in fields(Limits)}


@pytest.mark.parametrize(
    ("at", "played"),
    [
        ("mon/https:alerts:web", "mon/https:alerts:web"),
        ("https://alerts.example.com", "monitoring/alertmanager:9093"),
    ],
)
def test_a_rehearsal_never_silences_the_alerts_of_the_real_cluster(at: str, played: str) -> None:
    one = shipped("ams-prod").cluster
    raw = {**one.raw, "alertmanager": {"at": at, "token": "env:X", "labels": ["node"]}}
    cluster = replace(one, alertmanager=Alertmanager(at, "env:X"), raw=raw)
    found = cluster_file(cluster, "file:///x", 60.0)
    assert found["alertmanager"] == {"at": played, "labels": ["node"]}


def test_a_rehearsal_never_asks_the_real_machines() -> None:
    one = shipped("ams-prod").cluster
    raw = {**one.raw, "bmcs": {"at": "https://{node}-bmc.example.com", "credentials": "env:X"}}
    assert "bmcs" not in cluster_file(replace(one, raw=raw), "file:///x", 60.0)


def test_a_twin_has_none_of_what_lets_a_probe_in_at_the_site() -> None:
    cluster = shipped("ams-prod").cluster
    asked = {**cluster.raw, "probe": {"schedulerName": "kai-scheduler", "runtimeClassName": "nvidia"}}
    assert "probe" not in cluster_file(replace(cluster, raw=asked), "file:///gitops.git", 60)
    profile = next(iter(matrix().profiles.values()))
    resources = {**profile.raw, "probe": {"resources": {"nvidia.com/mig-1g.18gb": 7}}}
    assert "probe" not in profile_file(replace(profile, raw=resources), 60.0)
