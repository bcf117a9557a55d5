"""Listed commands: which run, and how paths are made local and taken out again."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowngood.twin.behaviours.processes import HostView, command_of, host_view, listed
from knowngood.twin.values import Object

ROOT, OWN = Path("/twin/nodes/gpu-1/root"), Path("/twin/pods/1/rootfs")


def probe_pod() -> tuple[Object, Object]:
    """A pod that mounts the host's root at /host and its log folder elsewhere."""
    container = {
        "name": "probe",
        "volumeMounts": [{"name": "host", "mountPath": "/host"}, {"name": "log", "mountPath": "/host/log"}],
    }
    volumes = [{"name": "host", "hostPath": {"path": "/"}}, {"name": "log", "hostPath": {"path": "/var/log"}}]
    return {"metadata": {}, "spec": {"containers": [container], "volumes": volumes}}, container


def probe_view() -> HostView:
    """How that pod sees its node."""
    return host_view(*probe_pod(), ROOT, OWN)


@pytest.mark.parametrize(
    ("word", "local"),
    [
        ("/host", f"{ROOT}"),
        ("/host/proc/version", f"{ROOT}/proc/version"),
        ("/host/log/x", f"{ROOT}/var/log/x"),
        ("--root=/host", f"--root={ROOT}"),
        ("/hostile", f"{OWN}/hostile"),
        ("/etc/passwd", f"{OWN}/etc/passwd"),
        ("/host/../etc/passwd", f"{OWN}/etc/passwd"),
        ("../../../../etc/passwd", f"{OWN}/etc/passwd"),
        ("logs/../../x", f"{OWN}/x"),
        ("logs/x", "logs/x"),
        ("--params", "--params"),
        ('{"a": "/host"}', '{"a": "/host"}'),
    ],
)
def test_arguments_become_local(word: str, local: str) -> None:
    assert probe_view().argument(word) == local


def test_a_driver_pod_sees_the_hosts_own_folders() -> None:
    pod = {"metadata": {"labels": {"app.kubernetes.io/component": "nvidia-driver"}}, "spec": {}}
    view = host_view(pod, {}, ROOT, OWN)
    assert view.argument("/proc/uptime") == f"{ROOT}/proc/uptime"
    assert view.argument("/home/x") == f"{OWN}/home/x"
    assert view.taken_out(f"{ROOT}/proc/uptime: 1".encode()) == b"/proc/uptime: 1"


@given(st.text(alphabet="/.ahost", max_size=40))
def test_no_absolute_path_leaves_the_twins_folders(text: str) -> None:
    local = probe_view().argument(f"/{text}")
    assert local == str(ROOT) or local.startswith((f"{ROOT}/", f"{OWN}"))
    assert ".." not in local.split("/")


@given(st.sampled_from(["/host/proc/version", "/host/log/journal.jsonl", "/host", "/else/where"]))
def test_output_reads_as_in_the_pod(path: str) -> None:
    view = probe_view()
    assert view.taken_out(view.local(path).encode()).decode().replace("/host/var/log", "/host/log") == path


@pytest.mark.parametrize(
    ("argv", "runs"),
    [
        (["cat", "/x"], ["cat", "/x"]),
        (["/usr/bin/grep", "a"], ["grep", "a"]),
        (["python", "-m", "knowngood.probe", "run"], [sys.executable, "-m", "knowngood.probe", "run"]),
        (["python3", "-m", "http.server"], None),
        (["python", "-c", "import os"], None),
        (["find", "/", "-exec", "rm", "{}", ";"], None),
        (["find", "/", "-exec", "grep", "a", "{}", "+"], ["find", "/", "-exec", "grep", "a", "{}", "+"]),
        (["find", "/", "-exec", "cat", "{}", ";", "-exec", "rm", "{}", ";"], None),
        (["find", "/", "-exec"], None),
        (["find", "/", "-execdir", "grep", "a", "{}", "+"], None),
        (["find", "/", "-delete"], None),
        (["sh", "-c", "cat"], None),
        ([], None),
    ],
)
def test_only_listed_commands_run(argv: list[str], runs: list[str] | None) -> None:
    assert listed(argv) == runs


def test_variables_in_commands_are_replaced_and_unknown_ones_stay() -> None:
    container = {"command": ["cat"], "args": ["$(A)/x", "$(B)"]}
    assert command_of(container, {"A": "/host"}) == ["cat", "/host/x", "$(B)"]
