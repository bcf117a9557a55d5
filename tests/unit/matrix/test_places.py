"""Where real repositories keep a value: in a patch of the object, in text inside a text, in values that are not it."""

from __future__ import annotations

import difflib
import json

import pytest
import yaml

from knowngood.matrix.span_edit import edit_scalar, read_scalar
from knowngood.model.errors import DataError
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Declaration

OLD, NEW = "580.126.20", "595.91.07"
POLICY = ObjectRef("nvidia.com/v1", "ClusterPolicy", "gpu-cluster-policy")
PATH = "spec.driver.version"

INLINE = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources:
  - ../../base
patches:
  - target: {kind: Subscription, name: gpu-operator-certified}
    patch: |-
      - op: replace
        path: /spec/channel
        value: v25.10
  - patch: |-   # the driver

      apiVersion: nvidia.com/v1
      kind: ClusterPolicy
      metadata:
        name: gpu-cluster-policy
      spec:
        driver:
          version: "580.126.20"   # moved by knowngood
"""
OPERATIONS = """\
kind: Kustomization
patches:
  - target: {group: nvidia.com, kind: ClusterPolicy, name: gpu-.*}
    patch: |
      - {op: test, path: /spec/driver/version, value: "580.126.20"}
      - op: add
        path: /spec/driver
        value:
          enabled: true
          version: "580.126.20"
"""
QUOTED = """\
kind: Component
patches:
  - target: {kind: ClusterPolicy}
    patch: '[{"op": "replace", "path": "/spec/driver/version", "value": "580.126.20"}]'
"""
OF_OLD = """\
patchesJson6902:
  - target: {version: v1, kind: ClusterPolicy, name: gpu-cluster-policy}
    patch: |-
      - op: replace
        path: /spec/driver/version
        value: 580.126.20
patchesStrategicMerge:
  - other.yaml
"""
MERGED = """\
kind: Kustomization
patchesStrategicMerge:
  - |-
    apiVersion: nvidia.com/v1
    kind: ClusterPolicy
    metadata: {name: gpu-cluster-policy}
    spec: {driver: {version: 580.126.20}}
"""
PATCH_FILE = '- op: replace\n  path: /spec/driver/version\n  value: "580.126.20"\n'
JSON = json.dumps(
    {
        "apiVersion": "nvidia.com/v1",
        "kind": "ClusterPolicy",
        "metadata": {"name": "gpu-cluster-policy"},
        "spec": {"driver": {"version": OLD}},
    },
    indent="\t",
)


def changed(before: str, after: str) -> list[str]:
    return [line for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] in "+-"]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("kustomization.yaml", INLINE),
        ("kustomization.yaml", OPERATIONS),
        ("kustomization.yaml", QUOTED),
        ("kustomization.yaml", OF_OLD),
        ("kustomization.yaml", MERGED),
        ("kustomization.yaml", INLINE.replace("\n", "\r\n")),
        ("driver-patch.yaml", PATCH_FILE),
        ("driver-patch.json", json.dumps(yaml.safe_load(PATCH_FILE), indent=2)),
        ("policy.json", JSON),
    ],
    ids=[
        "inline",
        "operations",
        "quoted",
        "json6902",
        "merge",
        "crlf",
        "patch file",
        "json patch",
        "json by tabs",
    ],
)
def test_a_value_in_a_patch_of_the_object_is_read_and_edited_in_its_line(file: str, text: str) -> None:
    assert read_scalar(text, PATH, file=file, of=POLICY) == OLD
    edited = edit_scalar(text, PATH, NEW, file=file, of=POLICY)
    before, after = changed(text, edited)
    assert after[1:] == before[1:].replace(OLD, NEW)
    assert read_scalar(edited, PATH, file=file, of=POLICY) == NEW
    assert edit_scalar(edited, PATH, OLD, file=file, of=POLICY) == text


def test_a_patch_whose_lines_are_escaped_on_one_keeps_to_it() -> None:
    operation = r"- op: replace\n  path: /spec/driver/version\n  value: 580.126.20\n"
    text = f'patches:\n- target: {{kind: ClusterPolicy}}\n  patch: "{operation}"\n'
    edited = edit_scalar(text, PATH, NEW, file="kustomization.yaml", of=POLICY)
    assert edited == text.replace("580.126.20", NEW)


def test_a_companion_beside_the_version_is_found_in_the_same_patch() -> None:
    path = "spec.driver.enabled"
    assert read_scalar(OPERATIONS, path, file="kustomization.yaml", of=POLICY) == "true"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (INLINE.replace("name: gpu-cluster-policy", "name: other"), "no inline patch here sets"),
        (OPERATIONS.replace("name: gpu-.*", "name: other-.*"), "no inline patch here sets"),
        (INLINE + INLINE.partition("v25.10\n")[2], "2 places set it: patches.1.patch and patches.2.patch"),
        (PATCH_FILE * 2, "2 places set it"),
        (PATCH_FILE.replace("/version", "/other"), "no operation here sets"),
        (QUOTED.replace("patch: '[", "patch: >-\n      [").replace("]'", "]"), "is folded text"),
        (QUOTED.replace("patch: '[", "patch: '[\n      "), "is text over several lines"),
    ],
)
def test_what_no_patch_or_more_than_one_says_is_refused(text: str, words: str) -> None:
    with pytest.raises(DataError, match=words):
        edit_scalar(text, PATH, NEW, file="kustomization.yaml", of=POLICY)


def test_each_rings_patch_in_one_kustomization_is_its_own() -> None:
    """A ring's operations say whom they mean by their target only."""
    operation = '- {op: replace, path: /spec/version, value: "1.2.3"}'
    one = f"  - target: {{kind: NVIDIADriver, name: RING}}\n    patch: |-\n      {operation}\n"
    text = "patches:\n" + one.replace("RING", "ring-1") + one.replace("RING", "ring-10")
    ring = ObjectRef("nvidia.com/v1alpha1", "NVIDIADriver", "ring-1")
    edited = edit_scalar(text, "spec.version", "1.2.4", file="kustomization.yaml", of=ring)
    assert edited == text.replace("1.2.3", "1.2.4", 1)


APPLICATION = """\
apiVersion: argoproj.io/v1alpha1
kind: AppProject
metadata: {name: gpu}
---
apiVersion: argoproj.io/v1alpha1
kind: Application
metadata: {name: gpu-operator}
spec:
  source:
    chart: gpu-operator
    targetRevision: v25.10.0
    helm:
      parameters:
        - {name: toolkit.enabled, value: "true"}
        - {name: driver.version, value: "580.126.20"}
        - {name: driver.repository, value: nvcr.io/nvidia}
      valuesObject:
        driver: {version: 580.126.20, repository: nvcr.io/nvidia}
      values: |
        # as NVIDIA ships it
        driver:
          version: "580.126.20"
          repository: nvcr.io/nvidia
"""


@pytest.mark.parametrize(
    "written",
    [
        "spec.source.helm.parameters[name=driver.version].value",
        "spec.source.helm.parameters.[name=driver.version].value",
        "spec.source.helm.parameters.1.value",
        "spec.source.helm.valuesObject.driver.version",
        "spec.source.helm.values.driver.version",
    ],
)
def test_a_value_that_an_application_gives_its_chart_is_edited_where_it_is_written(written: str) -> None:
    edited = edit_scalar(APPLICATION, PATH, NEW, file="app.yaml", of=POLICY, written=written)
    before, after = changed(APPLICATION, edited)
    assert after[1:] == before[1:].replace(OLD, NEW)
    assert read_scalar(edited, PATH, file="app.yaml", of=POLICY, written=written) == NEW


@pytest.mark.parametrize("written", ["spec.source.helm.parameters[name=driver].value", "spec.sources.0"])
def test_where_nothing_is_written_is_refused(written: str) -> None:
    with pytest.raises(DataError, match="no document holds"):
        read_scalar(APPLICATION, PATH, file="app.yaml", of=POLICY, written=written)


@pytest.mark.parametrize(
    ("written", "repository"),
    [
        ("driver.version", "driver.repository"),
        ("gpu-operator.driver.version", "gpu-operator.driver.repository"),
        (
            "spec.source.helm.parameters[name=driver.version].value",
            "spec.source.helm.parameters[name=driver.repository].value",
        ),
        ("my-drivers-version", "spec.driver.repository"),
        ("", ""),
    ],
)
def test_where_the_version_is_written_shows_where_its_companions_are(written: str, repository: str) -> None:
    declared = Declaration("nvidia-driver", "values.yaml", PATH, POLICY, written=written)
    assert declared.of_ring("").written == written
    assert declared.of_ring("", "spec.driver.repository").written == repository


def test_an_object_in_a_list_says_how_it_is_to_be_named() -> None:
    held = {"apiVersion": "v1", "kind": "List", "items": [{"kind": "ClusterPolicy"}]}
    with pytest.raises(
        DataError, match="it is a List, and where ClusterPolicy gpu-cluster-policy stands in it"
    ):
        read_scalar(yaml.safe_dump(held), PATH, file="f.yaml", of=POLICY)
