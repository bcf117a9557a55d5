"""A whole release of fra-prod: OpenShift 4.20 to 4.21 with operators, DOCA-OFED and the driver, in one run.

Declared once for all nodes, operators by OLM; what only the next minor's catalog offers comes after it. Real twin, Git,
Argo CD, Ansible, pytest.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from tests.integration.play import Play, explained, staged

from knowngood.adapters.kubernetes.client import Kube, path
from knowngood.matrix.locate import matrix_dir

CLUSTER, PINNED, NEXT = "fra-prod", "here", "h200-4.21-r595"
BEFORE, AFTER = "4.20.30", "4.21.28"
NODES = ("fra-gpu-1", "fra-gpu-2", "fra-gpu-3")
WITHOUT_CANARY = ("network-operator", "nfd", "openshift", "sriov-network-operator")
YES = (*(word for name in WITHOUT_CANARY for word in ("--accept-no-canary", name)), "--accept-forward-only")


def matrix(folder: Path) -> Path:
    """Ours, with the cluster on a release that the published graph leads on from, and the images of both."""
    shutil.copytree(matrix_dir(), folder)
    at = folder / "clusters" / f"{CLUSTER}.yaml"
    value = yaml.safe_load(at.read_text())
    images = {
        v: f"mirror.example.com/ocp/release@sha256:{v.replace('.', '') * 13:0<64.64}" for v in (BEFORE, AFTER)
    }
    toolkits = {v: one.replace("/release@", "/driver-toolkit@") for v, one in images.items()}
    value["declare"]["openshift"] |= {"images": images, "toolkits": toolkits}
    value["release"] = PINNED
    at.write_text(yaml.safe_dump(value))
    release = yaml.safe_load((folder / "releases" / "h200-4.20-r580.yaml").read_text())
    release.pop("supersedes")
    release["components"] |= {"openshift": BEFORE, "network-operator": "26.1.0"}
    (folder / "releases" / f"{PINNED}.yaml").write_text(yaml.safe_dump(release))
    return folder


def installed(play: Play) -> set[str]:
    """The ClusterServiceVersions that have succeeded."""
    found = Kube(play.stage.kubeconfig).list(path("operators.coreos.com/v1alpha1", "clusterserviceversions"))
    return {one["metadata"]["name"] for one in found if (one.get("status") or {}).get("phase") == "Succeeded"}


@pytest.mark.exhaustive
@pytest.mark.timeout(2400)
def test_a_minor_with_operators_doca_and_driver_comes_in_one_run(tmp_path: Path) -> None:
    with staged(tmp_path / "stage", CLUSTER, source=matrix(tmp_path / "matrix")) as play:
        asked = ("upgrade", CLUSTER, "--to", NEXT, "--yes", *YES, "--output", "json")
        ended = play.knowngood(*asked, deadline=2200)
        assert ended.code == 0, explained(ended)

        kube = Kube(play.stage.kubeconfig)
        version = kube.find(path("config.openshift.io/v1", "clusterversions", "version"))
        assert version is not None
        newest = version["status"]["history"][0]
        assert (newest["version"], newest["state"]) == (AFTER, "Completed")
        there = installed(play)
        assert {"nfd.4.21.0", "sriov-network-operator.v4.21.0"} <= there
        assert any(name.endswith("v26.4.1") for name in there)
        booted = [
            e["node"] for e in play.events() if e["event"] == "booted" and e["cause"] == "machine-config"
        ]
        assert {node: booted.count(node) for node in NODES} == dict.fromkeys(NODES, 1), "one boot a node"
        assert {drivers[-1] for drivers in play.drivers().values()} == {"595.91.07"}
        order = [s for s in reversed(play.commits()) if AFTER in s or "4.21.0" in s]
        assert AFTER in order[0], "what the minor's catalog offers comes after it"
