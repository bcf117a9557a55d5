"""What is printed as JSON has the number of a published schema, and keeps to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from tests.unit.cli.called import knowngood
from tests.unit.cli.ops import Ops, evidence, ops_at
from tests.unit.cli.ops import written as proof_in
from tests.unit.report.played import calm

from knowngood.cli import matrix_source
from knowngood.cli.commands.demo import _json as demo_json
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.report import published
from knowngood.report.demo_text import Act

SHIPPED = {
    "plan": ("plan", "ams-prod", "--to", "r595"),
    "hop": ("plan", "ams-prod", "--to", "r595", "--explain", "hop-1"),
    "diff": ("diff", "r580", "h200-4.22-r595"),
    "check": ("check", "openshift=4.18.22", "gpu-operator=26.3.3", "--cluster", "ams-prod"),
    "support": ("support", "gpu-operator=26.7", "network-operator=26.4.0"),
    "path": ("path", "openshift", "--from", "4.18.30", "--to", "4.22.9"),
    "edge": ("edge", "openshift", "4.18.21", "4.18.22"),
    "exposure": ("exposure", "--from-file", "SEEN", "--since", "2025-08-20"),
    "gates": ("gate", "--list"),
    "fleet": ("fleet", "plan", "--to", "r595"),
    "validate": ("validate",),
    "validate-rules": ("validate", "--list-rules"),
    "show-components": ("show", "components", "--cluster", "ams-prod"),
    "show-releases": ("show", "releases"),
    "show-rules": ("show", "rules"),
    "show-clusters": ("show", "clusters"),
    "show-profiles": ("show", "profiles"),
    "show-edges": ("show", "edges"),
    "show-conflicts": ("show", "conflicts"),
    "show-component": ("show", "component", "doca-ofed"),
    "show-release": ("show", "release", "r595"),
    "show-rule": ("show", "rule", "dma-buf-needs-open-modules"),
    "show-cluster": ("show", "cluster", "fra-prod"),
    "show-profile": ("show", "profile", "xe7740-h200nvl"),
    "show-edge": ("show", "edge", "nfd"),
}
"""Schema -> a command that prints it, on the shipped matrix."""
OWN = {
    "diff-since": ("diff", "--since", "HEAD~1"),
    "rehearse-changed": ("rehearse-changed", "--since", "HEAD~1", "--dry-run"),
    "promote": ("promote", "old", "--evidence", "PROOF", "--dry-run"),
    "supersede": ("supersede", "old", "--by", "new"),
    "revoke": ("revoke", "new", "--reason", "it is bad"),
    "runs": ("status", "--all"),
}
"""The same in a repository, in this order: the last ones change it."""
OPEN = tuple(f"show-{kind}" for kind in ("component", "release", "rule", "cluster", "profile", "edge"))
"""Descriptions: what the matrix may say of one thing grows, and what is published of it is said to be there."""
ELSEWHERE = {
    "summary": "tests/unit/report/test_summary.py",
    "doctor": "tests/integration/test_doctor.py",
    "discover": "tests/integration/test_discover.py",
    "gate": "tests/unit/cli/commands/test_gate_beside_a_run.py",
    "record": "tests/unit/cli/commands/test_record.py",
    "plan-file": "tests/unit/cli/commands/test_plan_file.py",
}
"""Which test holds the others to theirs."""


@pytest.fixture(scope="module", autouse=True)
def _read_once() -> Iterator[None]:
    """The shipped matrix is the same for all of these."""
    with pytest.MonkeyPatch.context() as patch:
        read = cache(load)
        shipped = matrix_dir()
        patch.setattr(
            matrix_source,
            "load_matrix",
            lambda folder, **more: read(folder) if folder == shipped else load(folder, **more),
        )
        yield


def refuse_strange(name: str, value: Any) -> None:
    """Raise ValidationError where a value is not what its schema asks."""
    known = [
        (f"{one}.schema.json", Resource.from_contents(published.schema(one))) for one in published.names()
    ]
    registry: Registry[Any] = Registry().with_resources(known)
    Draft202012Validator(published.schema(name), registry=registry).validate(value)


def test_every_published_schema_has_a_command_that_is_held_to_it() -> None:
    assert sorted([*SHIPPED, *OWN, *ELSEWHERE, "demo"]) == list(published.names())
    root = Path(__file__).parents[3]
    for name, file in ELSEWHERE.items():
        assert f'"{name}"' in (root / file).read_text(), name


@pytest.mark.parametrize("name", published.names())
def test_each_is_a_schema_and_asks_for_its_number(name: str) -> None:
    schema = published.schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["schema"] == {"const": 1}
    assert "schema" in schema["required"]
    opened = name in OPEN and "additionalProperties" not in schema
    assert opened or schema["additionalProperties"] is False


@pytest.mark.parametrize("name", SHIPPED)
def test_what_a_command_prints_of_the_matrix_keeps_to_its_schema(name: str, tmp_path: Path) -> None:
    seen = tmp_path / "seen.yaml"
    seen.write_text("openshift: 4.16.58\n")
    words = (str(seen) if word == "SEEN" else word for word in SHIPPED[name])
    said = knowngood(*words, "--matrix", "shipped", "--output", "json")
    assert said.code in (0, 1), said.err
    refuse_strange(name, json.loads(said.out))


@pytest.fixture(scope="module")
def ops(tmp_path_factory: pytest.TempPathFactory) -> Ops:
    """A repository with a new release in its last commit."""
    made = ops_at(tmp_path_factory.mktemp("json") / "ops")
    (made.matrix / "releases" / "new.yaml").write_text(made.release("old").replace("580.173.02", "595.91.07"))
    made.commit()
    return made


@pytest.mark.parametrize("name", OWN)
def test_what_a_command_says_of_a_repository_keeps_to_its_schema(name: str, ops: Ops, tmp_path: Path) -> None:
    now = datetime.now(UTC) - timedelta(minutes=1)
    proof = proof_in(tmp_path, evidence(ops, time=f"{now:%Y-%m-%dT%H:%M:%SZ}"))
    words = [str(proof) if word == "PROOF" else word for word in OWN[name]]
    where = ("--runs-dir", tmp_path) if name == "runs" else ("--matrix", ops.matrix)
    said = knowngood(*words, *where, "--output", "json")
    assert said.code == 0, said.err
    refuse_strange(name, json.loads(said.out))


def test_what_the_demonstration_prints_keeps_to_its_schema(tmp_path: Path) -> None:
    act = Act("an act", "done", calm().summary, True, ("against",), tmp_path, ("saw",))
    refuse_strange("demo", json.loads(demo_json((act,), {"ams-prod": {"nodes": {}}})))


def test_schemas_are_listed_and_shown() -> None:
    assert knowngood("show", "schemas").out.split() == list(published.names())
    assert json.loads(knowngood("show", "schema", "plan").out) == published.schema("plan")
    strange = knowngood("show", "schema", "plam")
    assert (strange.code, "known: check" in strange.err) == (2, True)
