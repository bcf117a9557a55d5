"""Every object that the runner, its playbooks and its gates write is valid by its kind's published schema."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.integration.play import staged
from tests.published import needs_definitions, problems

from knowngood.adapters.kubernetes.checkpoint import ConfigMapCheckpoint
from knowngood.adapters.kubernetes.client import Kube
from knowngood.model import names

CANARY = "lab-gpu-1"
WRITTEN = {
    ("Node", "patch"),
    ("Pod", "evict"),
    ("Pod", "delete"),
    ("Job", "create"),
    ("Job", "delete"),
    ("Lease", "create"),
    ("Lease", "update"),
    ("ConfigMap", "create"),
    ("ConfigMap", "patch"),
    ("Application", "patch"),
    ("MachineConfigPool", "patch"),
}
"""All that we write, by kind and verb: one that comes or goes must be looked at, here and in deploy/."""
MARKS = {
    "Node": (names.CLAIM_ANNOTATION, names.MAINTENANCE_TAINT, names.QUARANTINE_TAINT, "quarantine-reason"),
    "ConfigMap": (names.ABORT_ANNOTATION, "binaryData", '"state"'),
    "Application": ("argocd.argoproj.io/refresh",),
    "Lease": ("holderIdentity",),
    "MachineConfigPool": (names.HOLD_ANNOTATION, '"paused": true', '"paused": false'),
}
"""What must be among the writes of a kind, or the runs below do not show all that can be written."""


@pytest.fixture(scope="module")
def writes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """All writes of two runs, one that ends done and one whose undo does not cure a node, and of an abort."""
    with staged(tmp_path_factory.mktemp("writes") / "stage", "lab-small", "--audit-objects") as play:
        done = play.upgrade("r595")
        assert (done.code, done.result["end"]) == (0, "done"), done.stderr
        ConfigMapCheckpoint(Kube(play.stage.kubeconfig)).ask_abort(play.run_id(), "hold")
        play.stage.fault("ib-link-flap", CANARY)
        sick = play.upgrade("r610")
        assert (sick.code, sick.result["end"]) == (5, "quarantined"), sick.stderr
        yield play.writes()


def sent(write: dict[str, Any]) -> dict[str, Any]:
    """The object that a write is about; an eviction is one of its own."""
    found: dict[str, Any] = write["request"] if write["verb"] == "evict" else write["object"]
    return found


@pytest.mark.slow
def test_the_runs_write_every_kind_of_object_that_we_write_and_no_other(writes: list[dict[str, Any]]) -> None:
    assert {(write["kind"], write["verb"]) for write in writes} == WRITTEN
    for kind, marks in MARKS.items():
        text = json.dumps([write["object"] for write in writes if write["kind"] == kind])
        assert [mark for mark in marks if mark not in text] == [], kind


SERVERS = ("resourceVersion", "managedFields")
"""Fields that the API server writes, whatever is sent."""
PUBLISHED = ("Application", "MachineConfigPool")
"""Kinds whose definitions are published elsewhere."""
BUILT_IN = sorted({kind for kind, _ in WRITTEN} - {*PUBLISHED})


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*BUILT_IN, *(pytest.param(k, marks=needs_definitions) for k in PUBLISHED)])
def test_everything_written_is_valid_by_the_published_schema(kind: str, writes: list[dict[str, Any]]) -> None:
    objects = [sent(write) for write in writes if write["kind"] == kind]
    assert objects
    for obj in objects:
        assert problems(obj) == [], f"{obj['kind']} {obj['metadata']['name']}"


@pytest.mark.slow
def test_the_api_server_drops_nothing_of_what_we_send(writes: list[dict[str, Any]]) -> None:
    """A misspelt field is no error to an API server: it would only be missing."""
    bodies = [write for write in writes if write["verb"] in ("create", "update", "patch")]
    kinds = {"Node", "Job", "Lease", "ConfigMap", "Application", "MachineConfigPool"}
    assert {write["kind"] for write in bodies} == kinds
    for write in bodies:
        where = f"{write['verb']} {write['kind']} {write['name']}"
        assert lost(write["request"], write["object"]) == [], where


def lost(sent: Any, made: Any) -> list[str]:
    """What of a body (an object, a merge patch or a JSON Patch) the object that came of it does not hold."""
    if isinstance(sent, list):
        kept = [change for change in sent if change["op"] == "add"]
        return [c["path"] for c in kept if _missing(c["value"], _at(made, c["path"]), c["path"])]
    return list(_missing(sent, made, ""))


def _at(made: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        made = made.get(part.replace("~1", "/").replace("~0", "~"))
    return made


def _missing(sent: Any, made: Any, at: str) -> list[str]:
    if isinstance(sent, dict) and isinstance(made, dict):
        given = {key: value for key, value in sent.items() if key not in SERVERS}
        return [
            path for key, value in given.items() for path in _missing(value, made.get(key), f"{at}/{key}")
        ]
    if isinstance(sent, list) and isinstance(made, list) and len(sent) == len(made):
        pairs = zip(sent, made, strict=True)
        return [path for i, (one, other) in enumerate(pairs) for path in _missing(one, other, f"{at}/{i}")]
    return [] if sent == made else [at]
