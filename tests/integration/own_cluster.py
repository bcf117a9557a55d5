"""A cluster that knowngood has never seen, with the repository that its team keeps: a twin whose Git is not ours.

What the twin is comes from a cluster file that the team does not have (`truth`); Git holds the team's files alone.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from tests.integration.play import SCALE, Ended, Play, explained

from knowngood.adapters.stage import Stage
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.values import Object
from knowngood.planner.gates import paired
from knowngood.ports.cancel import Cancel
from knowngood.rehearsal import compress
from knowngood.rehearsal.at_rest import AtRest
from knowngood.rehearsal.seed import seed

NAME = "prod"
DEADLINE = 900.0  # seconds; a rehearsal takes 90 on two idle cores
WHO = ("-c", "user.name=Jo", "-c", "user.email=jo@example.com")


@dataclass(frozen=True)
class Team:
    """`truth`: keys of a cluster file beside profile, nodes and rings. `files`: the repository, by its URL.

    `roots`: the Applications that somebody made by hand. `typed`: what a human answers. `to`: the release wanted.
    """

    truth: Object
    files: Callable[[str], Mapping[str, Object | str]]
    roots: tuple[Object, ...]
    typed: Object
    to: str


def values_in(typed: Any) -> int:
    """How many values somebody typed: scalars, wherever they stand."""
    if isinstance(typed, Mapping):
        return sum(map(values_in, typed.values()))
    return sum(map(values_in, typed)) if isinstance(typed, list) else 1


@dataclass
class Own:
    """The stage, the team's checkout, and what was found so far."""

    play: Play
    checkout: Path
    team: Team

    def said(self, *words: str, code: int = 0) -> Ended:
        """A command that must end so."""
        ended = self.play.knowngood(*words, deadline=DEADLINE)
        assert ended.code == code, f"knowngood {' '.join(words)}: {explained(ended)}"
        return ended

    def discovered(self) -> Object:
        """The cluster file as `discover` writes it."""
        out = self.play.stage.folder / "found"
        self.said("discover", NAME, "--gitops", str(self.checkout), "--out", str(out))
        found: Object = yaml.safe_load((out / f"{NAME}.yaml").read_text())
        return found

    def answered(self, found: Object) -> None:
        """What was found with what is typed, in the team's matrix; a test's own pace is not among what is typed."""
        typed = dict(self.team.typed)
        merged = {**found, **typed, "traits": {**found.get("traits", {}), **typed.get("traits", {})}}
        merged["limits"] = {"soakSeconds": 1}
        folder = self.play.stage.matrix
        (folder / "clusters").mkdir(exist_ok=True)
        (folder / "clusters" / f"{NAME}.yaml").write_text(yaml.safe_dump(merged, sort_keys=False))
        git(folder, "add", "-A")
        git(folder, *WHO, "commit", "-q", "-m", "our cluster")

    def pushed(self, message: str) -> None:
        """The checkout's files, as one commit on the branch."""
        git(self.checkout, "add", "-A")
        git(self.checkout, *WHO, "commit", "-q", "-m", message)
        git(self.checkout, "push", "-q", "origin", "HEAD:main")


def git(folder: Path, *words: str) -> None:
    subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True)


def written(folder: Path, files: Mapping[str, Object | str]) -> None:
    """Objects as YAML, text as it is."""
    for name, held in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(held if isinstance(held, str) else yaml.safe_dump(held, sort_keys=False))


@contextmanager
def owned(folder: Path, team: Team) -> Iterator[Own]:
    """The cluster at rest, fed by the team's repository; the matrix knows no cluster."""
    source = folder / "source"
    shutil.copytree(matrix_dir(), source, ignore=shutil.ignore_patterns("fleet.yaml", "clusters"))
    truth = source / "clusters" / "truth.yaml"
    truth.parent.mkdir()
    truth.write_text(yaml.safe_dump(team.truth))
    rest = AtRest.of(matrix := load(source), matrix.clusters["truth"])
    truth.unlink()
    stage = Stage(folder / "stage")
    profiles = {
        ("profile", one.name): compress.profile_file(one, SCALE, paired(rest.hardware))
        for one in rest.hardware.profiles
    }
    document = seed(rest, stage.repo_url)
    document["gitops"] = {"repo": stage.repo_url, "branch": "main", "applications": list(team.roots)}
    stage.build(source, profiles, {"OWNERS.yaml": {"approvers": ["jo"]}}, document, "main")
    checkout = folder / "checkout"
    git(folder, "clone", "-q", str(stage.repo), str(checkout))
    own = Own(Play(stage, NAME), checkout, team)
    written(checkout, team.files(stage.repo_url))
    own.pushed("as it is")
    try:
        stage.start(SCALE, Cancel())
        yield own
    finally:
        stage.stop()
