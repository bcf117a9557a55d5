"""An operations repository on disk: the examples' matrix and the shipped gates, committed; and evidence for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowngood.adapters.gitops.gate_suite import suite_of
from knowngood.matrix.locate import gates_dir
from knowngood.model.matrix import Identity

BASE = Path(__file__).parents[2] / "examples" / "base"
PIN = Identity("0c4e9f3a-1111-4222-8333-444455556666", "ab" * 32)
VERSIONS = {
    "openshift": "4.18.52",
    "gpu-operator": "26.7.0",
    "nvidia-driver": "580.173.02",
    "kernel-module-type": "open",
    "rdma-mode": "dma-buf",
}
MEASURED = {"nvidia-driver": "580.173.02", "rhcos-kernel": "5.14.0-427.109.1.el9_4.x86_64"}


@dataclass(frozen=True)
class Ops:
    """The repository's root; `matrix` is in it, and so are `gates`."""

    root: Path

    @property
    def matrix(self) -> Path:
        return self.root / "matrix"

    def git(self, *arguments: str) -> str:
        env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null"}
        who = ("-c", "user.name=Jo", "-c", "user.email=jo@example.com")
        done = subprocess.run(
            ["git", *who, *arguments], cwd=self.root, env=env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, subject: str = "a change", day: str = "") -> str:
        if day:
            os.environ["GIT_COMMITTER_DATE"] = f"{day}T12:00:00Z"
        try:
            self.git("add", "-A")
            self.git("commit", "--quiet", "-m", subject)
        finally:
            os.environ.pop("GIT_COMMITTER_DATE", None)
        return self.git("rev-parse", "HEAD")

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.matrix / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def release(self, name: str) -> str:
        return (self.matrix / "releases" / f"{name}.yaml").read_text()

    def commits(self) -> int:
        return int(self.git("rev-list", "--count", "HEAD"))

    def pin_identity(self) -> None:
        """The lab pins the cluster that the evidence was taken on."""
        file = self.matrix / "clusters" / "lab.yaml"
        file.write_text(file.read_text() + f'identity: {{uid: "{PIN.uid}", ca: "{PIN.ca}"}}\n')
        self.commit("pin")


def ops_at(root: Path, day: str = "") -> Ops:
    root.mkdir()
    shutil.copytree(BASE, root / "matrix")
    shutil.copytree(gates_dir(), root / "gates", ignore=shutil.ignore_patterns("__pycache__"))
    ops = Ops(root)
    ops.git("init", "--quiet", "-b", "main")
    ops.commit("first", day)
    return ops


def evidence(ops: Ops, **changes: Any) -> dict[str, Any]:
    """Evidence of the release `old` on the lab, taken a minute ago, that counts as known-good where the pin fits."""
    value = {
        "run": "r1",
        "cluster": "lab",
        "profile": "pcie",
        "release": "old",
        "from": "older",
        "versions": VERSIONS,
        "matrixCommit": ops.git("rev-parse", "HEAD"),
        "gates": {"digest": suite_of(gates_dir()).digest, "commit": ops.git("rev-parse", "HEAD")},
        "identity": {"uid": PIN.uid, "ca": PIN.ca},
        "status": "rehearsed",
        "because": "as the run saw it",
        "time": "2026-08-22T03:00:00Z",
        "commits": [],
        "nodes": {
            n: {"versions": MEASURED, "images": {"nvidia-driver": "m/driver@sha256:1"}}
            for n in ("gpu-1", "gpu-2")
        },
        "verdicts": [
            *(
                {"gate": gate, "node": node, "verdict": "pass", "backend": ""}
                for gate in ("drift", "gpu_errors", "rdma_health")
                for node in ("gpu-1", "gpu-2")
            ),
            *(
                {"gate": gate, "node": "gpu-1", "verdict": "pass", "backend": "cuda"}
                for gate in ("smoke", "smoke_training")
            ),
        ],
    }
    return {**value, **changes}


def written(folder: Path, value: dict[str, Any]) -> Path:
    path = folder / "proof.json"
    path.write_text(json.dumps(value))
    return path
