"""Objects that kustomizations rename, and values that they copy: edited where they stand, proven by rendering."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from knowngood.adapters.gitops.renaming import affixes, names_in
from knowngood.model.errors import DataError
from knowngood.model.field import FieldChange, ObjectRef
from knowngood.model.gitops import Affix
from knowngood.ports.gitops import FieldTaken, RenderMismatch

from .conftest import Team, trailers
from .test_following import BASE, CHANGE, FILES, POLICY, PROD, laid, needs_kubectl, pushed, repository

OVERLAY = "config/overlays/prod/kustomization.yaml"
TWO = "config/base/operators/policy.yaml"
DRIVERS = "".join(
    f"---\napiVersion: nvidia.com/v1alpha1\nkind: NVIDIADriver\nmetadata: {{name: {ring}}}\n"
    f"spec:\n  version: 580.173.02 # of {ring}\n"
    for ring in ("ring-0", "ring-1")
)
MOVED = FieldChange(
    "nvidia-driver",
    TWO,
    "spec.version",
    ObjectRef("nvidia.com/v1alpha1", "NVIDIADriver", "prod-ring-1-x"),
    "580.173.02",
    "595.91.07",
)
RENAMED = {
    TWO: DRIVERS,
    "config/base/operators/kustomization.yaml": "resources: [policy.yaml]\nnameSuffix: -x\n",
    OVERLAY: "resources: [../../base]\nnamePrefix: prod-\n",
}


def test_each_kustomization_on_the_way_puts_its_own_around_a_name(tmp_path: Path) -> None:
    laid(tmp_path, **{**FILES, **RENAMED})
    found = affixes(tmp_path, PROD.path)
    assert found[TWO] == {Affix("prod-", "-x")}
    assert found[OVERLAY] == {Affix("prod-", ""), Affix("prod-", "-x")}, (
        "a patch may name what it had on the way"
    )
    assert names_in(tmp_path, [PROD.path], TWO, "prod-ring-1-x") == ("ring-1",)
    assert names_in(tmp_path, [PROD.path], TWO, "ring-1") == ()


def test_kustomizations_that_read_each_other_end(tmp_path: Path) -> None:
    for one, other in (("a", "b"), ("b", "a")):
        laid(tmp_path, **{f"{one}/kustomization.yaml": f"resources: [../{other}]\nnamePrefix: {one}-\n"})
    assert affixes(tmp_path, "a")


@needs_kubectl
def test_the_document_of_the_renamed_object_alone_is_edited(team: Team, tmp_path: Path) -> None:
    """Comments and all else stay as they are, there and back."""
    ours = repository(pushed(team, **RENAMED), tmp_path)
    commit = ours.declare([MOVED], "driver", trailers("ring-1"))
    assert team.read(TWO) == DRIVERS.replace("580.173.02 # of ring-1", "595.91.07 # of ring-1")
    ours.undo(commit, [MOVED], "undo", trailers("ring-1"))
    assert team.read(TWO) == DRIVERS


@needs_kubectl
def test_a_name_that_no_kustomization_gives_is_refused(team: Team, tmp_path: Path) -> None:
    other = replace(MOVED, object=replace(MOVED.object, name="dev-ring-1-x"))
    ours = repository(pushed(team, **RENAMED), tmp_path)
    with pytest.raises((DataError, FieldTaken), match="none of its 2 documents is NVIDIADriver dev-ring-1-x"):
        ours.declare([other], "driver", trailers("ring-1"))


VERSIONS = "config/overlays/prod/versions.yaml"
COPIED = {
    VERSIONS: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: versions}\ndata: {driver: '580.173.02'}\n",
    BASE: FILES[BASE].replace("580.173.02", "570.1.1"),
    OVERLAY: """\
resources: [../../base, versions.yaml]
replacements:
  - source: {kind: ConfigMap, name: versions, fieldPath: data.driver}
    targets:
      - select: {kind: ClusterPolicy}
        fieldPaths: [spec.driver.version]
""",
}
BY_COPY = replace(CHANGE, file=VERSIONS, written="data.driver")


@needs_kubectl
def test_a_value_that_is_copied_moves_with_its_config_map(team: Team, tmp_path: Path) -> None:
    ours = repository(pushed(team, **COPIED), tmp_path)
    assert ours.taking([BY_COPY]) == ()
    ours.declare([BY_COPY], "driver", trailers("fleet"))
    assert team.read(VERSIONS) == COPIED[VERSIONS].replace("580.173.02", "595.91.07")


@needs_kubectl
def test_a_config_map_that_nothing_copies_moves_nothing(team: Team, tmp_path: Path) -> None:
    without = {**COPIED, OVERLAY: "resources: [../../base, versions.yaml]\n"}
    with pytest.raises(RenderMismatch, match=f"reaches no Application's {POLICY}"):
        repository(pushed(team, **without), tmp_path).declare([BY_COPY], "driver", trailers("fleet"))
