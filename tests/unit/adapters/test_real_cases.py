"""Real clusters, repositories and logins that were told wrongly once: each of them as it was published."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cases import CASES, needs_cases
from tests.unit.cli.called import knowngood

from knowngood.adapters.cluster import actors
from knowngood.adapters.gitops.checkout_files import checkout_of
from knowngood.adapters.gitops.render import FolderRenderer, differences
from knowngood.adapters.kubernetes import kubeconfig
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.matrix.span_edit import edit_scalar, read_scalar
from knowngood.model.errors import DataError, UsageError
from knowngood.model.field import FieldChange, ObjectRef
from knowngood.model.gitops import Application
from knowngood.model.matrix import Declaration
from knowngood.planner.moving import version_said
from knowngood.planner.readiness.applications import against_delivering
from knowngood.planner.readiness.image_fields import against_change
from knowngood.planner.readiness.selecting import against_selection
from knowngood.planner.readiness.sync_windows import denied
from knowngood.planner.version import runs

pytestmark = needs_cases
MATRIX = load(matrix_dir())
READY = [{"type": "Ready", "status": "True"}]
DRIVER = MATRIX.movers["nvidia-driver"]


def applications() -> dict[str, dict[str, Any]]:
    found = yaml.safe_load((CASES / "a-applications.yaml").read_text())
    return {name: {**one, "metadata": {"name": "gpu", "namespace": "argocd"}} for name, one in found.items()}


def test_c49_a_source_hydrator_is_refused_before_a_push() -> None:
    (found, *_) = against_delivering(applications()["a1-hydrator"])
    assert "source hydrator" in found.what


def test_c50_a_window_of_other_applications_holds_nothing_back() -> None:
    case = applications()["a2-window-of-others"]
    now = datetime(2026, 11, 30, 7, 12, tzinfo=UTC)
    windows = case["project"]["syncWindows"]
    assert list(against_delivering(case)) == []
    assert denied(windows, case, now, 600.0) is None
    case["metadata"]["name"] = "gpu-prod"
    assert denied(windows, case, now, 600.0) is not None


def test_c52_a_comparison_error_is_refused_with_its_message() -> None:
    found = [f.what for f in against_delivering(applications()["a4-comparison-error"])]
    assert any("field not declared in schema" in what for what in found)


def test_c54_a_default_driver_that_overlaps_the_rings_is_refused() -> None:
    drivers = list(yaml.safe_load_all((CASES / "d1-default-overlaps.yaml").read_text()))
    nodes = {"gpu-1": {"nvidia.com/gpu.present": "true", "knowngood/ring": "ring-0"}}
    (found,) = against_selection(nodes, drivers, {"gpu-1": "ring-0"})
    assert "default" in found.where
    assert "ring-0" in found.where


def test_c55_a_node_that_hangs_in_an_upgrade_is_busy() -> None:
    key, _, state = (
        (CASES / "d2-upgrade-required.txt").read_text().split(",")[0].rpartition(" ")[2].partition("=")
    )
    node = {
        "metadata": {"name": "gpu-1", "labels": {key: state}},
        "spec": {},
        "status": {"conditions": READY},
    }
    assert state in actors.busy(node)


def test_c61_pem_text_where_base64_is_wanted_is_refused() -> None:
    with pytest.raises(UsageError, match="certificate-authority-data is no base64"):
        kubeconfig.load(CASES / "c6-pem-in-data.yaml")


def test_c28_a_module_that_reports_an_older_version_is_the_package_that_reports_so() -> None:
    lines = (CASES / "v10-ofed-reports-otherwise.txt").read_text().splitlines()
    declared, said = lines[0].split()[-1], lines[1].split()[-1]
    component = MATRIX.components["doca-ofed"]
    assert not runs(component.scheme, declared, said)
    assert runs(component.scheme, declared, component.reports[said])


def test_c29_what_a_channels_entry_skips_is_no_target() -> None:
    for line in (CASES / "o/o6-csm-shipped.txt").read_text().splitlines()[:2]:
        said = knowngood(*line.split(), "--openshift", "4.14")
        assert said.code != 0, said.out


def declared(file: str, path: str) -> tuple[dict[str, Any], str, Declaration]:
    obj = yaml.safe_load((CASES / "g" / file).read_text())
    live = ObjectRef(obj["apiVersion"], obj["kind"], obj["metadata"]["name"])
    text = read_scalar((CASES / "g" / file).read_text(), path, file=file)
    return obj, text, Declaration("nvidia-driver", file, path, live)


def test_c38_a_digest_is_the_version_that_the_cluster_file_says_and_none_by_itself() -> None:
    _, digest, where = declared("g4-digest.yaml", "spec.version")
    with pytest.raises(UsageError, match="nobody says which version that is"):
        version_said(DRIVER, where, digest)
    texts = {"580.173.02": {"spec.version": digest}, "595.91.07": {"spec.version": "sha256:0c"}}
    said = Declaration(where.component, where.file, where.path, where.object, texts=texts)
    assert version_said(DRIVER, said, digest) == "580.173.02"


def test_c39_a_version_without_repository_and_image_is_refused() -> None:
    obj, version, where = declared("g5-only-version.yaml", "spec.driver.version")
    change = FieldChange.of(where, version, "580.173.02")
    (found,) = against_change(obj, change)
    assert "without spec.driver.repository and spec.driver.image" in found.what


def test_a_chart_that_flux_brings_is_edited_where_it_says_the_value() -> None:
    text = (CASES / "g/g9-helm-values-block.yaml").read_text()
    edited = edit_scalar(text, "spec.values.ofedDriver.version", "24.10-0.7.0.0", file="f")
    assert [a for a, b in zip(edited.splitlines(), text.splitlines(), strict=True) if a != b] == [
        '      version: "24.10-0.7.0.0"'
    ]
    with pytest.raises(DataError):
        read_scalar(text, "spec.values.ofedDriver.tag", file="f")


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")
def test_c48_a_patch_file_moves_one_field_of_what_is_rendered(tmp_path: Path) -> None:
    """And C47: the base that the overlay reads is followed."""
    tree = tmp_path / "ops"
    shutil.copytree(CASES / "g13", tree)
    overlay = Application("gpu", "argocd", "overlays/file")
    assert "base/cluster-policy.yaml" in checkout_of(tree, [overlay.path]).reads[overlay.path]
    before = FolderRenderer().render(tree, overlay)
    patch = tree / "overlays/file/patch-driver.yaml"
    patch.write_text(edit_scalar(patch.read_text(), "spec.driver.version", "595.91.07", file="f"))
    (found,) = differences("gpu", before, FolderRenderer().render(tree, overlay))
    assert (found.path, found.before, found.after) == ("spec.driver.version", "580.126.20", "595.91.07")
