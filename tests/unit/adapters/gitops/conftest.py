"""A remote on this machine, as a team would have one, and the cluster's two rings in it."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from knowngood.adapters.gitops.git import GitOpsRepository
from knowngood.model.field import FieldChange, ObjectRef
from knowngood.model.gitops import Application, GitOps

FOLDER = "clusters/ams-prod/gpu"
APPLICATION = Application("ams-prod-gpu", "openshift-gitops", FOLDER)
_DRIVER = """# The driver of one ring.
apiVersion: nvidia.com/v1alpha1
kind: NVIDIADriver
metadata:
  name: RING
spec:
  repository: nvcr.io/nvidia
  version: "580.173.02"   # moved by knowngood
  nodeSelector:
    knowngood.dev/ring: RING
"""


def change(ring: str, before: str = "580.173.02", after: str = "595.91.07") -> FieldChange:
    return FieldChange(
        component="nvidia-driver",
        file=f"{FOLDER}/nvidiadriver-{ring}.yaml",
        path="spec.version",
        before=before,
        after=after,
        object=ObjectRef("nvidia.com/v1alpha1", "NVIDIADriver", ring),
    )


def trailers(ring: str, run: str = "r1") -> dict[str, str]:
    return {"Knowngood-Run": run, "Knowngood-Hop": "hop-1", "Knowngood-Ring": ring}


@dataclass
class Team:
    """The remote, and a colleague who also pushes to it."""

    remote: Path
    desk: Path

    def git(self, *arguments: str) -> str:
        env = {
            **os.environ,
            "GIT_AUTHOR_NAME": "Jo",
            "GIT_AUTHOR_EMAIL": "jo@example.com",
            "GIT_COMMITTER_NAME": "Jo",
            "GIT_COMMITTER_EMAIL": "jo@example.com",
            "GIT_CONFIG_GLOBAL": "/dev/null",
        }
        done = subprocess.run(
            ["git", *arguments], cwd=self.desk, env=env, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def push(self, file: str, text: str, subject: str = "a colleague's change") -> str:
        self.git("pull", "--quiet", "--ff-only", "origin", "main")
        path = self.desk / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        self.git("add", "-A")
        self.git("commit", "--quiet", "-m", subject)
        self.git("push", "--quiet", "origin", "main")
        return self.git("rev-parse", "HEAD")

    def log(self, *form: str) -> list[str]:
        self.git("fetch", "--quiet", "origin", "main")
        return self.git("log", *(form or ("--format=%s",)), "FETCH_HEAD").splitlines()

    def read(self, file: str) -> str:
        self.git("fetch", "--quiet", "origin", "main")
        return self.git("show", f"FETCH_HEAD:{file}") + "\n"

    def driver(self, ring: str) -> str:
        return self.read(f"{FOLDER}/nvidiadriver-{ring}.yaml")


@pytest.fixture
def team(tmp_path: Path) -> Team:
    remote, desk = tmp_path / "remote.git", tmp_path / "desk"
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", str(remote)], check=True)
    subprocess.run(["git", "init", "--quiet", "-b", "main", str(desk)], check=True)
    team = Team(remote, desk)
    team.git("remote", "add", "origin", str(remote))
    for ring in ("ring-0", "ring-1"):
        path = desk / FOLDER / f"nvidiadriver-{ring}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_DRIVER.replace("RING", ring))
    team.git("add", "-A")
    team.git("commit", "--quiet", "-m", "the rings")
    team.git("push", "--quiet", "origin", "main")
    return team


@pytest.fixture
def clone(team: Team, tmp_path: Path) -> Callable[..., GitOpsRepository]:
    """A clone of the team's remote; each call is another run's."""
    made = 0

    def make(**options: object) -> GitOpsRepository:
        nonlocal made
        made += 1
        gitops = GitOps(f"file://{team.remote}", "main", (APPLICATION,))
        return GitOpsRepository(gitops, tmp_path / f"run-{made}" / "gitops", **options)  # type: ignore[arg-type]

    return make
