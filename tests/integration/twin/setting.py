"""The small cluster that the tests play on: its seed, and its GitOps repository."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import yaml

from knowngood.twin.values import Object

OLD, NEW, BAD = "580.173.02", "595.91.07", "610.57.04"
RINGS = {"ring-0": "gpu-1", "ring-1": "gpu-2"}
FOLDER = "clusters/small/gpu"
SPACE = "nvidia-gpu-operator"
HARDWARE = {
    "product": "PowerEdge XE7740",
    "gpus": 8,
    "gpuModel": "NVIDIA H200 NVL",
    "gpuPciId": "10de:233b",
    "nvswitch": False,
    "nics": 8,
    "nicModel": "ConnectX-7",
    "nicFirmware": "28.47.1026",
    "docaOfed": "25.10-1.7.1.0",
}


def tolerations(*keys: str) -> list[dict[str, str]]:
    """What the operands tolerate beside nvidia.com/gpu."""
    return [{"key": key, "operator": "Exists", "effect": "NoSchedule"} for key in keys]


def manifests() -> dict[str, Object]:
    """What Git holds at first, by file."""
    tolerated = tolerations("example.com/work")
    found: dict[str, Object] = {
        "clusterpolicy.yaml": {
            "apiVersion": "nvidia.com/v1",
            "kind": "ClusterPolicy",
            "metadata": {"name": "gpu-cluster-policy"},
            "spec": {
                "operator": {},
                "daemonsets": {"tolerations": tolerated},
                "driver": {"useNvidiaDriverCRD": True, "upgradePolicy": {"autoUpgrade": False}},
                **{
                    part: {"enabled": True}
                    for part in ("toolkit", "devicePlugin", "dcgm", "dcgmExporter", "gfd")
                },
                "nodeStatusExporter": {"enabled": False},
            },
        }
    }
    for ring in RINGS:
        found[f"nvidiadriver-{ring}.yaml"] = {
            "apiVersion": "nvidia.com/v1alpha1",
            "kind": "NVIDIADriver",
            "metadata": {"name": ring},
            "spec": {
                "driverType": "gpu",
                "repository": "mirror.example.com/nvidia",
                "image": "driver",
                "version": OLD,
                "kernelModuleType": "open",
                "nodeSelector": {"example.com/ring": ring},
                "upgradePolicy": {"autoUpgrade": False},
                "tolerations": tolerated,
            },
        }
    return found


def seed_document(repo: Path) -> dict[str, Any]:
    """Two rings of one node, a control plane, a virtual node, a served model and a gang."""
    gpu = [
        {"name": n, "role": "gpu", "labels": {"example.com/ring": r}, **HARDWARE} for r, n in RINGS.items()
    ]
    others = [{"name": "cp-1", "role": "control-plane"}, {"name": "liqo-1", "role": "virtual"}]
    serve = {"name": "serve", "kind": "Deployment", "replicas": 4, "gpusPerPod": 1, "minAvailable": 2}
    train = {"name": "train", "kind": "gang", "replicas": 2, "gpusPerPod": 2}
    return {
        "schema": 1,
        "cluster": "small",
        "kubernetes": "v1.31.9",
        "openshift": "4.18.52",
        "nodes": [*gpu, *others],
        "gpuOperator": {"version": "26.7.0", "namespace": SPACE},
        "networkOperator": {"version": "26.4.1", "namespace": "nvidia-network-operator"},
        "tenants": [
            {"name": "vision", "namespace": "vision", "workloads": [serve]},
            {"name": "llm", "namespace": "llm", "workloads": [train]},
        ],
        "gitops": {
            "repo": f"file://{repo}",
            "branch": "main",
            "applications": [{"name": "small-gpu", "namespace": "openshift-gitops", "path": FOLDER}],
        },
    }


class Repository:
    """The GitOps repository: a bare one and a clone to push from."""

    def __init__(self, folder: Path) -> None:
        self.bare = folder / "gitops.git"
        self.clone = folder / "clone"
        _git("init", "-q", "--bare", "-b", "main", str(self.bare))
        _git("clone", "-q", str(self.bare), str(self.clone))
        self.folder = self.clone / FOLDER
        self.folder.mkdir(parents=True)
        for name, obj in manifests().items():
            (self.folder / name).write_text(yaml.safe_dump(obj), encoding="utf-8")
        self.push("what runs today")

    def push(self, subject: str) -> str:
        """Commit everything and push; returns the commit."""
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        self.git("push", "-q", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def move(self, ring: str, version: str) -> str:
        """Declare another driver for a ring."""
        file = self.folder / f"nvidiadriver-{ring}.yaml"
        obj = yaml.safe_load(file.read_text(encoding="utf-8"))
        obj["spec"]["version"] = version
        file.write_text(yaml.safe_dump(obj), encoding="utf-8")
        return self.push(f"{ring} to {version}")

    def revert(self) -> str:
        """Revert the last commit."""
        self.git("revert", "--no-edit", "HEAD")
        self.git("push", "-q", "origin", "HEAD:main")
        return self.git("rev-parse", "HEAD")

    def git(self, *arguments: str) -> str:
        """Run git in the clone."""
        return _git("-C", str(self.clone), *arguments)


def _git(*arguments: str) -> str:
    who = ("-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()
