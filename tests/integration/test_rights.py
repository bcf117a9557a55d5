"""deploy/ grants what a run writes: every write of a real run, as the API server recorded it, against the roles."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.integration.play import staged

ROOT = Path(__file__).parents[2]
RUNNER = "knowngood-runner"
VERBS = {"evict": ("create", "/eviction")}  # the audit log's word, and what RBAC calls it

Rights = set[tuple[str, str, str, str]]
"""Namespace ("" is all), API group, resource, verb."""


def objects() -> list[dict[str, Any]]:
    files = sorted((ROOT / "deploy" / "base").glob("*.yaml"))
    return [found for path in files for found in yaml.safe_load_all(path.read_text()) if found]


def granted(account: str) -> Rights:
    """Everything that the roles bound to a service account allow."""
    found = objects()
    roles = {
        (one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one["rules"]
        for one in found
        if one["kind"] in {"Role", "ClusterRole"}
    }
    rights: Rights = set()
    for binding in found:
        if any(subject["name"] == account for subject in binding.get("subjects", ())):
            where = binding["metadata"].get("namespace", "")
            for rule in roles[binding["roleRef"]["kind"], where, binding["roleRef"]["name"]]:
                rights |= set(spread(where, rule))
    return rights


def spread(where: str, rule: dict[str, list[str]]) -> Iterator[tuple[str, str, str, str]]:
    """One right a group, resource and verb."""
    for group in rule["apiGroups"]:
        for resource in rule["resources"]:
            yield from ((where, group, resource, verb) for verb in rule["verbs"])


def right(write: dict[str, str]) -> tuple[str, str, str, str]:
    """What a recorded write needs."""
    group = write["apiVersion"].rpartition("/")[0]
    verb, subresource = VERBS.get(write["verb"], (write["verb"], ""))
    return write["namespace"], group, write["kind"].lower() + "s" + subresource, verb


@pytest.mark.slow
def test_the_runner_is_granted_every_write_of_a_run(tmp_path: Path) -> None:
    with staged(tmp_path, "lab-small") as play:
        ended = play.upgrade("r595")
        assert ended.code == 0, ended.stderr
        writes = play.writes()
    needed = {right(write) for write in writes}
    kinds = {resource for _, _, resource, _ in needed}
    assert {"nodes", "pods/eviction", "pods", "jobs", "leases", "configmaps", "applications"} <= kinds
    rights = granted(RUNNER)
    assert not {n for n in needed if n not in rights and ("", *n[1:]) not in rights}


def test_the_reader_writes_nothing_but_probe_jobs() -> None:
    reading = {"get", "list"}
    writes = {
        (where, resource, verb)
        for where, _, resource, verb in granted("knowngood-reader")
        if verb not in reading
    }
    assert writes == {
        ("knowngood", "jobs", "create"),
        ("knowngood", "jobs", "delete"),
        ("nvidia-gpu-operator", "pods/exec", "create"),
    }


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not here: deploy/ is not rendered")
@pytest.mark.parametrize("folder", ["base", "openshift"])
def test_the_folder_can_be_rendered(folder: str) -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(ROOT / "deploy" / folder)], check=True, capture_output=True, text=True
    )
    assert {"Namespace", "ClusterRole"} <= {one["kind"] for one in yaml.safe_load_all(done.stdout)}
