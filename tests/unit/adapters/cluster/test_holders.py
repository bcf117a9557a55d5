"""Who has a node's GPUs open beside its pods: by cgroup, and only where a pod is known from the host at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from tests.movers import MOVERS
from tests.unit.adapters.fake_kube import FakeKube

from knowngood.adapters.cluster import holders
from knowngood.adapters.cluster.holders import SELF, in_words, of_no_pod
from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.kubernetes.pod_exec import Ran
from knowngood.model.errors import Unreachable

POD: dict[str, Any] = {
    "metadata": {
        "name": "driver",
        "namespace": "n",
        "labels": {"app.kubernetes.io/component": "nvidia-driver"},
    },
    "spec": {"hostPID": True},
    "status": {"conditions": [{"type": "Ready", "status": "True"}]},
}


def asked(monkeypatch: pytest.MonkeyPatch, *lines: str) -> tuple[str, ...] | None:
    def run(_kube: object, _space: str, _pod: str, _container: str, argv: Sequence[str]) -> Ran:
        if argv[0] == "grep":
            return Ran("/proc/12/comm:burn\n", "", 2)  # 9 has ended
        return Ran("\n".join(lines) + "\n", "", 1)

    monkeypatch.setattr(pod_exec, "run", run)
    return of_no_pod(FakeKube(), [POD], MOVERS)


def test_a_process_of_no_pod_that_has_a_device_open_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    of_a_pod = ("/proc/7/cgroup", "/proc/7/fd/3")
    found = asked(monkeypatch, SELF, *of_a_pod, "/proc/12/fd/3", "/proc/12/fd/4", "/proc/9/fd/0")
    assert found == ("a process (pid 9)", "burn (pid 12)")


def test_nobody_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    assert asked(monkeypatch, SELF, "/proc/7/cgroup", "/proc/7/fd/3") == ()


def test_where_a_pod_does_not_look_like_one_from_inside_nothing_can_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In a cgroup namespace of its own everybody's group looks like the host's."""
    assert asked(monkeypatch, "/proc/7/fd/3") is None


@pytest.mark.parametrize("changed", [{"spec": {}}, {"status": {}}])
def test_a_pod_that_sees_its_own_processes_or_is_not_ready_is_not_asked(changed: dict[str, Any]) -> None:
    assert of_no_pod(FakeKube(), [{**POD, **changed}], MOVERS) is None


def test_a_pod_that_does_not_answer_is_not_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_arguments: object) -> Ran:
        raise Unreachable("no end within 15 s")

    monkeypatch.setattr(pod_exec, "run", run)
    assert of_no_pod(FakeKube(), [POD], MOVERS) is None


def test_many_are_not_all_named() -> None:
    told = in_words(tuple(f"p{n} (pid {n})" for n in range(holders.MOST + 2)))
    assert "p4 (pid 4), 2 more on the host" in told
