"""Where a kustomization gives names, copies values or makes objects: the value is found where it counts, or asked of.

Nothing is guessed: what kustomize makes of a checkout is held against what its files say.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.first_hour import (
    CLUSTER_POLICY,
    OPERATORS,
    OVERLAY,
    POLICY,
    checkout,
    inspected,
    kustomization,
    obj,
)
from tests.unit.cli.called import knowngood

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl is not on PATH")
RUNS = CLUSTER_POLICY["spec"]["driver"]["version"]
STALE = {
    **CLUSTER_POLICY,
    "spec": {**CLUSTER_POLICY["spec"], "driver": {"enabled": True, "version": "570.1.1"}},
}
LIVE = "gpu-cluster-policy"
FIELD = "spec.driver.version"


def versions(**annotations: Any) -> dict[str, Any]:
    return {
        **obj("v1", "ConfigMap", "versions", **annotations),
        "data": {"driver": RUNS, "all": f"gpu/{RUNS}/x"},
    }


def replacement(field: str, **options: object) -> dict[str, Any]:
    source = {"kind": "ConfigMap", "name": "versions", "fieldPath": field, **options}
    return {"source": source, "targets": [{"select": {"kind": "ClusterPolicy"}, "fieldPaths": [FIELD]}]}


def overlay(**more: object) -> dict[str, Any]:
    return {f"{OVERLAY}/kustomization.yaml": kustomization("../../base", **more)}


def discovered(folder: Path, name: str = LIVE, **files: Any) -> tuple[dict[str, Any], str]:
    """What is declared of the driver, and what is asked of declarations; the cluster has the policy by that name."""
    repo = checkout(folder / "ops", **files)
    seen = inspected(folder / "seen", f"file://{repo}")
    live = (seen / "all.yaml").read_text().replace(LIVE, name)
    (seen / "all.yaml").write_text(live)
    said = knowngood("discover", "prod", "--from", seen, "--gitops", repo, "--out", folder / "out")
    assert said.code == 0, said.err
    text = (folder / "out" / "prod.yaml").read_text()
    asked = " ".join(line.strip("# ") for line in text.splitlines() if line.startswith("#"))
    return yaml.safe_load(text).get("declare", {}).get("nvidia-driver", {}), asked


def test_an_object_that_a_kustomization_renames_is_found_by_its_live_name(tmp_path: Path) -> None:
    files = overlay(namePrefix="prod-") | {
        f"{OPERATORS}/kustomization.yaml": kustomization("gpu-operator", nameSuffix="-a")
    }
    found, _ = discovered(tmp_path, f"prod-{LIVE}-a", **files)
    assert (found["file"], found["object"]["name"]) == (POLICY, f"prod-{LIVE}-a")
    assert "written" not in found


def test_a_component_gives_names_too(tmp_path: Path) -> None:
    component = {"apiVersion": "kustomize.config.k8s.io/v1alpha1", "kind": "Component", "nameSuffix": "-c"}
    files = overlay(components=["../../components/named"], namePrefix="p-")
    files |= {"cluster-config/components/named/kustomization.yaml": component}
    assert discovered(tmp_path, f"p-{LIVE}-c", **files)[0]["file"] == POLICY


@pytest.mark.parametrize("called", [LIVE, f"{LIVE}-a"])
def test_a_patch_may_name_it_as_any_file_on_the_way_does(tmp_path: Path, called: str) -> None:
    patch = {**CLUSTER_POLICY, "metadata": {"name": called}, "spec": {"driver": {"version": RUNS}}}
    files = overlay(namePrefix="prod-", patches=[{"patch": yaml.safe_dump(patch)}])
    files |= {
        f"{OPERATORS}/kustomization.yaml": kustomization("gpu-operator", nameSuffix="-a"),
        POLICY: STALE,
    }
    found, _ = discovered(tmp_path, f"prod-{LIVE}-a", **files)
    assert found["file"] == f"{OVERLAY}/kustomization.yaml"


def test_a_value_that_is_copied_from_a_config_map_is_found_there(tmp_path: Path) -> None:
    local = {"config.kubernetes.io/local-config": "true"}
    files = overlay(replacements=[replacement("data.driver")], resources=["../../base", "versions.yaml"])
    files |= {POLICY: STALE, f"{OVERLAY}/versions.yaml": versions(annotations=local)}
    found, asked = discovered(tmp_path, **files)
    assert (found["file"], found["path"], found["written"]) == (
        f"{OVERLAY}/versions.yaml",
        FIELD,
        "data.driver",
    )
    assert found["object"]["kind"] == "ClusterPolicy"
    assert "nvidia-driver" not in asked


UNSAID = {**CLUSTER_POLICY, "spec": {**CLUSTER_POLICY["spec"], "driver": {"enabled": True}}}


def test_a_replacement_may_make_the_field_and_name_no_source_but_the_kind(tmp_path: Path) -> None:
    made = replacement("data.driver")
    made["targets"][0]["options"] = {"create": True}
    del made["source"]["name"]
    files = overlay(replacements=[{"path": "r.yaml"}], resources=["../../base", "versions.yaml"])
    files |= {POLICY: UNSAID, f"{OVERLAY}/versions.yaml": versions(), f"{OVERLAY}/r.yaml": made}
    assert discovered(tmp_path, **files)[0]["file"] == f"{OVERLAY}/versions.yaml"


def test_a_field_that_a_part_of_another_makes_is_not_its_operators_choice(tmp_path: Path) -> None:
    part = replacement("data.all", options={"delimiter": "/", "index": 1})
    part["targets"][0]["options"] = {"create": True}
    files = overlay(replacements=[part], resources=["../../base", "versions.yaml"])
    found, asked = discovered(tmp_path, **files | {POLICY: UNSAID, f"{OVERLAY}/versions.yaml": versions()})
    assert found == {}
    assert f"{POLICY} does not say {FIELD}, and kustomize makes it {RUNS}: the replacement at" in asked


def test_a_value_that_is_part_of_another_is_asked_about_with_its_line(tmp_path: Path) -> None:
    part = replacement("data.all", options={"delimiter": "/", "index": 1})
    files = overlay(replacements=[part], resources=["../../base", "versions.yaml"])
    files |= {POLICY: STALE, f"{OVERLAY}/versions.yaml": versions()}
    found, asked = discovered(tmp_path, **files)
    line = yaml_line(files[f"{OVERLAY}/kustomization.yaml"], "- source:")
    assert found == {}
    assert f"the replacement at {OVERLAY}/kustomization.yaml:{line} sets it" in asked
    assert "a part of ConfigMap versions data.all: give it a field of its own" in asked


def test_a_value_that_a_generator_writes_is_asked_about(tmp_path: Path) -> None:
    files = overlay(
        replacements=[replacement("data.driver")],
        configMapGenerator=[{"name": "versions", "literals": [f"driver={RUNS}"]}],
    )
    found, asked = discovered(tmp_path, **files | {POLICY: STALE})
    assert found == {}
    assert "ConfigMap versions is in no file here once: write data.driver into one" in asked


def test_whatever_sets_it_later_is_told(tmp_path: Path) -> None:
    """What kustomize makes of it is compared: nobody keeps a list of all that it can do."""
    files = overlay(transformers=["set.yaml"]) | {POLICY: STALE}
    files[f"{OVERLAY}/set.yaml"] = {
        "apiVersion": "builtin",
        "kind": "PatchTransformer",
        "metadata": {"name": "set"},
        "patch": yaml.safe_dump([{"op": "replace", "path": "/spec/driver/version", "value": RUNS}]),
        "target": {"kind": "ClusterPolicy"},
    }
    found, asked = discovered(tmp_path, **files)
    assert found == {}
    assert f"{POLICY} says 570.1.1, and kustomize makes {RUNS} of it" in asked


def test_one_value_of_several_rings_is_asked_about(tmp_path: Path) -> None:
    drivers = {
        f"{OVERLAY}/{ring}/kustomization.yaml": kustomization("../../../driver", namePrefix=f"{ring}-")
        for ring in ("a", "b")
    }
    base = obj("nvidia.com/v1alpha1", "NVIDIADriver", "driver", {"version": RUNS})
    files = overlay(resources=["../../base", "a", "b"]) | drivers
    files |= {
        "cluster-config/driver/kustomization.yaml": kustomization("driver.yaml"),
        "cluster-config/driver/driver.yaml": base,
    }
    found, asked = rings(tmp_path, files)
    assert found == {}
    assert "one value in cluster-config/driver/driver.yaml is that of a-driver, b-driver" in asked


def test_a_patch_of_each_ring_is_found_by_its_folder(tmp_path: Path) -> None:
    patch = yaml.safe_dump([{"op": "replace", "path": "/spec/version", "value": RUNS}])
    each = [{"target": {"kind": "NVIDIADriver"}, "patch": patch}]
    names = ("a-driver", "b-driver")
    drivers = {
        f"{OVERLAY}/{ring}/kustomization.yaml": kustomization(
            "../../../driver", namePrefix=f"{ring[0]}-", patches=each
        )
        for ring in names
    }
    base = obj("nvidia.com/v1alpha1", "NVIDIADriver", "driver", {"version": "570.1.1"})
    files = overlay(resources=["../../base", *names]) | drivers
    files |= {
        "cluster-config/driver/kustomization.yaml": kustomization("driver.yaml"),
        "cluster-config/driver/driver.yaml": base,
    }
    found, asked = rings(tmp_path, files)
    assert found["file"] == OVERLAY + "/{ring}/kustomization.yaml", asked
    assert found["object"]["name"] == "{ring}"


def test_one_patch_of_both_rings_is_asked_about(tmp_path: Path) -> None:
    """It would move them together, whatever their names are."""
    each = [{"op": "replace", "path": "/spec/version", "value": RUNS}]
    files = overlay(
        resources=["../../base", "drivers.yaml"],
        patches=[{"target": {"kind": "NVIDIADriver"}, "patch": yaml.safe_dump(each)}],
    )
    drivers = [
        obj("nvidia.com/v1alpha1", "NVIDIADriver", n, {"version": "570.1.1"})
        for n in ("a-driver", "b-driver")
    ]
    text = "---\n".join(yaml.safe_dump(one) for one in drivers)
    found, asked = rings(tmp_path, files | {f"{OVERLAY}/drivers.yaml": {}}, {f"{OVERLAY}/drivers.yaml": text})
    assert found == {}
    assert f"one value in {OVERLAY}/kustomization.yaml is that of a-driver, b-driver" in asked


def test_rings_in_one_list_are_asked_about(tmp_path: Path) -> None:
    """Each is written at a number of its own, which no ring's name says."""
    both = [
        obj("nvidia.com/v1alpha1", "NVIDIADriver", n, {"version": RUNS}) for n in ("a-driver", "b-driver")
    ]
    files = overlay(resources=["../../base", "drivers.yaml"])
    files[f"{OVERLAY}/drivers.yaml"] = {"apiVersion": "v1", "kind": "List", "items": both}
    found, asked = rings(tmp_path, files)
    assert found == {}
    assert f"2 places say it ({OVERLAY}/drivers.yaml)" in asked


def rings(
    folder: Path, files: dict[str, Any], texts: dict[str, str] | None = None
) -> tuple[dict[str, Any], str]:
    """Two NVIDIADrivers are the cluster's rings. `texts`: files of several documents."""
    repo = checkout(folder / "ops", **files)
    for name, text in (texts or {}).items():
        (repo / name).write_text(text)
    seen = inspected(folder / "seen", f"file://{repo}")
    held = yaml.safe_load((seen / "all.yaml").read_text())
    api = {"group": "nvidia.com", "version": "v1alpha1", "kind": "NVIDIADriver"}
    for number, name in enumerate(("a-driver", "b-driver")):
        spec = {"version": RUNS, "nodeSelector": {"knowngood.dev/ring": f"ring-{number}"}}
        held["items"].append(obj("nvidia.com/v1alpha1", "NVIDIADriver", name, spec))
        app = next(o for o in held["items"] if o["metadata"]["name"] == "cluster-config")
        app["status"]["resources"].append({**api, "name": name})
    (seen / "all.yaml").write_text(yaml.safe_dump(held))
    said = knowngood("discover", "prod", "--from", seen, "--gitops", repo, "--out", folder / "out")
    assert said.code == 0, said.err
    text = (folder / "out" / "prod.yaml").read_text()
    asked = " ".join(line.strip("# ") for line in text.splitlines() if line.startswith("#"))
    return yaml.safe_load(text).get("declare", {}).get("nvidia-driver", {}), asked


def test_a_chart_that_kustomize_inflates_is_told_with_its_line(tmp_path: Path) -> None:
    charts = [{"name": "x", "repo": "https://charts.example.com", "version": "1.0.0"}]
    files = overlay(helmCharts=charts)
    _, asked = discovered(tmp_path, **files)
    line = yaml_line(files[f"{OVERLAY}/kustomization.yaml"], "helmCharts:")
    assert f"{OVERLAY}/kustomization.yaml:{line}:" in asked
    assert "bring it by an Application of its own" in asked


def yaml_line(held: Any, words: str) -> int:
    lines = yaml.safe_dump(held, sort_keys=False).splitlines()
    return next(n for n, line in enumerate(lines, 1) if words in line)
