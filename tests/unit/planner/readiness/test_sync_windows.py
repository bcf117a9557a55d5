"""Sync windows hold back a run as Argo CD holds back a sync: by name, namespace and cluster, now and until the end."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from knowngood.planner.readiness.sync_windows import denied, matches, read

NOW = datetime(2026, 11, 28, 22, 0, 30, tzinfo=UTC)
HOUR = 3600.0
GPU: dict[str, Any] = {
    "metadata": {"name": "gpu-ams"},
    "spec": {"destination": {"namespace": "nvidia-gpu-operator", "server": "https://api.ams:6443"}},
}


def window(kind: str, schedule: str, duration: str, **more: Any) -> dict[str, Any]:
    return {"kind": kind, "schedule": schedule, "duration": duration, "applications": ["*"], **more}


def first(windows: list[dict[str, Any]], seconds: float = 0.0) -> tuple[str, str]:
    """When it is denied first, by what."""
    found = denied(windows, GPU, NOW, seconds)
    return (f"{found.at:%d %H:%M:%S}", found.by) if found else ("", "")


@pytest.mark.parametrize(
    ("lists", "matched"),
    [
        ({"applications": ["gpu-ams"]}, True),
        ({"applications": ["gpu-*"]}, True),
        ({"applications": ["*-fra", "gpu-{ams,fra}"]}, True),
        ({"applications": ["gpu-am[a-s]"]}, True),
        ({"applications": ["gpu-am[!s]"]}, False),
        ({"applications": ["gpu"]}, False),
        ({"applications": ["gpu-am["]}, False),
        ({"namespaces": ["nvidia-*"]}, True),
        ({"namespaces": ["default"]}, False),
        ({"clusters": ["https://api.ams:6443"]}, True),
        ({"clusters": ["in-cluster"]}, False),
        ({"applications": ["other"], "namespaces": ["nvidia-*"]}, True),
        ({"applications": ["other"], "namespaces": ["nvidia-*"], "andOperator": True}, False),
        ({"applications": ["gpu-?ms"], "namespaces": ["nvidia-*"], "andOperator": True}, True),
        ({}, False),
    ],
)
def test_a_window_counts_for_the_applications_that_one_of_its_lists_matches(
    lists: dict[str, Any], matched: bool
) -> None:
    assert matches(lists, GPU) is matched


def test_a_cluster_is_matched_by_its_name_where_the_destination_has_one() -> None:
    named = {"metadata": {"name": "x"}, "spec": {"destination": {"name": "ams-prod"}}}
    assert matches({"clusters": ["ams-*"]}, named)
    assert not matches({"clusters": [""]}, named)


def test_no_window_or_none_of_ours_denies_nothing() -> None:
    assert denied([], GPU, NOW, HOUR) is None
    other = window("deny", "* * * * *", "1h", applications=["other"])
    assert denied([other], GPU, NOW, HOUR) is None


@pytest.mark.parametrize(
    ("schedule", "duration", "zone", "is_open"),
    [
        ("0 22 * * *", "1h", "", True),
        ("0 21 * * *", "1h", "", False),
        ("0 21 * * *", "1h0m31s", "", True),
        ("0 23 * * *", "1h", "", False),
        ("0 23 * * *", "1h", "Europe/Amsterdam", True),  # 22:00 UTC in winter
        ("0 0 28 * *", "23h", "", True),
        ("0 22 * * 6", "30m", "", True),
        ("0 22 * * 0", "30m", "", False),
        ("0 0 30 2 *", "1h", "", True),  # never fires: Argo CD takes it for open
    ],
)
def test_a_window_is_open_from_its_schedule_on_in_its_own_zone(
    schedule: str, duration: str, zone: str, is_open: bool
) -> None:
    assert read(window("deny", schedule, duration, timeZone=zone)).open(NOW) is is_open


def test_the_moment_at_which_it_fires_is_not_inside_yet() -> None:
    found = read(window("deny", "0 22 * * *", "1h"))
    assert not found.open(NOW.replace(second=0))
    assert found.open(NOW.replace(second=1))


def test_an_open_deny_denies_whatever_is_allowed() -> None:
    windows = [window("allow", "0 22 * * *", "2h"), window("deny", "0 21 * * *", "2h")]
    at, by = first(windows)
    assert at == "28 22:00:30"
    assert "deny window '0 21 * * *' for 2h (UTC) is open" in by


def test_an_allow_that_is_shut_denies_unless_another_is_open() -> None:
    shut = window("allow", "0 3 * * *", "1h")
    assert "is shut" in first([shut])[1]
    assert first([shut, window("allow", "0 22 * * *", "1h")]) == ("", "")


def test_manual_sync_is_no_way_around_for_a_sync_by_itself() -> None:
    assert first([window("deny", "0 22 * * *", "1h", manualSync=True)])[1]


def test_a_deny_that_opens_before_the_run_is_over_counts_with_its_time() -> None:
    later = [window("deny", "30 23 * * *", "5m")]
    assert first(later, HOUR) == ("", "")
    at, _ = first(later, 2 * HOUR)
    assert at == "28 23:30:01"


def test_an_allow_that_shuts_before_the_run_is_over_counts_with_its_time() -> None:
    windows = [window("allow", "0 22 * * *", "1h")]
    assert first(windows, 0.9 * HOUR) == ("", "")
    at, by = first(windows, 2 * HOUR)
    assert at == "28 23:00:01"
    assert "is shut" in by


@pytest.mark.parametrize(
    "broken",
    [
        {"schedule": "@daily"},
        {"schedule": "0 25 * * *"},
        {"duration": "1d"},
        {"duration": ""},
        {"timeZone": "Europe/Nowhere"},
        {"timeZone": "../etc/passwd"},
        {"kind": "maybe"},
    ],
)
def test_a_window_of_ours_that_cannot_be_read_is_told(broken: dict[str, str]) -> None:
    bad = window("deny", "0 22 * * *", "1h") | broken
    with pytest.raises(ValueError, match="window"):
        denied([bad], GPU, NOW, 0.0)
    assert denied([bad | {"applications": ["other"]}], GPU, NOW, 0.0) is None
