"""Two minors of OpenShift with one boot a node, on the example cluster ams-prod: three rings of two, two CPU nodes.

Real twin with its cluster-version and machine-config operators, Git, Argo CD, Ansible, pytest.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from tests.integration.play import Play, explained, staged

from knowngood.adapters.kubernetes.client import Kube, path
from knowngood.matrix.locate import matrix_dir

CLUSTER, PINNED, NEXT = "ams-prod", "r580", "next"
BEFORE, BETWEEN, AFTER = "4.18.51", "4.19.41", "4.20.33"
KERNELS = {BEFORE: "5.14.0-427.el9_4", AFTER: "5.14.0-570.el9_6"}
GPU = tuple(f"gpu-{n}" for n in range(1, 7))
CPU = ("cpu-1", "cpu-2")
FOLDER = f"clusters/{CLUSTER}/platform"
POOLS = path("machineconfiguration.openshift.io/v1", "machineconfigpools")
VERSION = path("config.openshift.io/v1", "clusterversions", "version")
YES = ("--yes", "--accept-no-canary", "openshift", "--accept-forward-only", "--output", "json")


def image(version: str) -> str:
    return f"mirror.example.com/ocp/release@sha256:{version.replace('.', '') * 13:0<64.64}"


def matrix(folder: Path) -> Path:
    """Ours, in which the cluster says where Git declares its OpenShift, and a release differs by that alone."""
    shutil.copytree(matrix_dir(), folder)
    at = folder / "clusters" / f"{CLUSTER}.yaml"
    value = yaml.safe_load(at.read_text())
    images = {version: image(version) for version in (BEFORE, BETWEEN, AFTER)}
    value["declare"]["openshift"] = {
        "file": f"{FOLDER}/version.yaml",
        "path": "spec.desiredUpdate.version",
        "object": {"apiVersion": "config.openshift.io/v1", "kind": "ClusterVersion", "name": "version"},
        "images": images,
        "toolkits": {v: one.replace("/release@", "/driver-toolkit@") for v, one in images.items()},
    }
    applications = value["gitops"]["applications"]
    applications.append({"name": f"{CLUSTER}-platform", "namespace": "openshift-gitops", "path": FOLDER})
    at.write_text(yaml.safe_dump(value))
    release = yaml.safe_load((folder / "releases" / f"{PINNED}.yaml").read_text())
    for name, version in ((PINNED, BEFORE), (NEXT, AFTER)):
        release["components"] |= {"openshift": version, "rhcos-kernel": KERNELS[version]}
        (folder / "releases" / f"{name}.yaml").write_text(yaml.safe_dump(release))
        release.pop("supersedes", None)
    return folder


def boots(play: Play) -> dict[str, int]:
    """Worker -> how often the machine-config operator booted it."""
    booted = [e["node"] for e in play.events() if e["event"] == "booted" and e["cause"] == "machine-config"]
    return {node: booted.count(node) for node in (*GPU, *CPU)}


@pytest.mark.exhaustive
@pytest.mark.timeout(1200)
def test_the_control_plane_goes_over_the_odd_minor_and_each_worker_boots_once(tmp_path: Path) -> None:
    with staged(tmp_path / "stage", CLUSTER, source=matrix(tmp_path / "matrix")) as play:
        kept = play.stage.folder / "kept.plan.json"
        made = play.knowngood(
            "plan", CLUSTER, "--to", NEXT, "--from-git", "--channel", "eus", "--out", str(kept)
        )
        assert made.code == 0, explained(made)
        assert f"all pools of workers stay paused over {BETWEEN}" in made.stdout + made.stderr
        ended = play.knowngood("upgrade", CLUSTER, "--plan", str(kept), *YES, deadline=1000)
        assert ended.code == 0, explained(ended)

        kube = Kube(play.stage.kubeconfig)
        version = kube.find(VERSION)
        assert version is not None
        history = [(one["version"], one["state"]) for one in version["status"]["history"]]
        assert history[:2] == [(AFTER, "Completed"), (BETWEEN, "Completed")]
        assert version["spec"]["channel"] == "eus-4.20"
        nodes = {n["metadata"]["name"]: n["status"]["nodeInfo"] for n in kube.list(path("v1", "nodes"))}
        base = KERNELS[AFTER].partition(".el")[0]
        assert all(nodes[name]["kernelVersion"].startswith(base) for name in GPU)
        assert {name: boots(play)[name] for name in GPU} == dict.fromkeys(GPU, 1), (
            "one drain, one boot a node"
        )
        assert all(boots(play)[name] <= 1 for name in CPU), "they wait, too"
        assert not [p for p in kube.list(POOLS) if p["spec"].get("paused")], "all is let go"
        subjects = play.commits()
        assert [sum(v in s for s in subjects) for v in (BETWEEN, AFTER)] == [1, 1], "one commit a minor"
