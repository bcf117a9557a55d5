"""Two clusters of one stage on two twins at once; one fails its canary, and the next stage never begins."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest
from tests.integration.play import KNOWNGOOD, RUN_DEADLINE, Ended, Play, environment, explained, staged

from knowngood.matrix.locate import matrix_dir

CANARY, DRIVER = "lab-gpu-1", "595.91.07"
GOOD, BAD, LATER = "lab-small", "lab-two", "lab-three"
FLEET = f"""\
stages:
  - {{name: staging, clusters: [{GOOD}, {BAD}], atOnce: 2}}
  - {{name: production, clusters: [{LATER}]}}
"""


def three_labs(folder: Path) -> Path:
    """The shipped matrix with the small cluster three times."""
    matrix = shutil.copytree(matrix_dir(), folder / "source" / "matrix")
    shutil.copytree(matrix_dir().parent / "gates", folder / "source" / "gates")
    for name in (BAD, LATER):
        shutil.copy(matrix / "clusters" / f"{GOOD}.yaml", matrix / "clusters" / f"{name}.yaml")
    (matrix / "fleet.yaml").write_text(FLEET)
    return matrix


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=Jo", "-c", "user.email=jo@example.com")
    done = subprocess.run(["git", *who, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout


def fleets_repository(folder: Path, plays: list[Play]) -> Path:
    """A checkout, with a remote, of the matrix whose cluster files are those of the twins."""
    checkout = folder / "ops"
    shutil.copytree(plays[0].stage.matrix, checkout / "matrix", ignore=shutil.ignore_patterns(".git"))
    for play in plays[1:]:
        file = f"clusters/{play.cluster}.yaml"
        shutil.copy(play.stage.matrix / file, checkout / "matrix" / file)
    git(folder, "init", "-q", "--bare", "-b", "main", "ops.git")
    git(checkout, "init", "-q", "-b", "main")
    git(checkout, "add", "-A")
    git(checkout, "commit", "-q", "-m", "the fleet")
    git(checkout, "remote", "add", "origin", str(folder / "ops.git"))
    git(checkout, "push", "-q", "-u", "origin", "main")
    return checkout


@pytest.mark.slow
def test_one_of_a_stage_fails_its_canary_and_the_next_stage_never_begins(tmp_path: Path) -> None:
    source = three_labs(tmp_path)
    with ExitStack() as stack:
        plays = [stack.enter_context(staged(tmp_path / n, n, source=source)) for n in (GOOD, BAD)]
        checkout = fleets_repository(tmp_path, plays)
        kubeconfigs = tmp_path / "kube"
        kubeconfigs.mkdir()
        for play in plays:
            (kubeconfigs / play.cluster).symlink_to(play.stage.kubeconfig)
        (kubeconfigs / LATER).write_text("kind: Config\n")  # nobody may ask for it
        plays[1].stage.fault("xid-31-after-driver", CANARY, {"version": DRIVER})
        before = [play.snapshot("before") for play in plays]

        def fleet(*arguments: str) -> Ended:
            where = ("--matrix", checkout / "matrix", "--runs-dir", tmp_path / "runs")
            words = [*KNOWNGOOD, *map(str, where), "fleet", *arguments, "--kubeconfigs", str(kubeconfigs)]
            done = subprocess.run(
                words,
                cwd=tmp_path,
                env=environment(),
                capture_output=True,
                text=True,
                timeout=RUN_DEADLINE,
                check=False,
            )
            return Ended(done.returncode, done.stdout, done.stderr)

        ended = fleet("upgrade", "--to", "r595", "--yes", "--output", "json")
        assert ended.code == 6, explained(ended)
        now = {row["cluster"]: row for row in json.loads(ended.stdout)["clusters"]}
        assert (now[GOOD]["release"], now[GOOD]["told"]) == ("r595", "proven")
        assert now[BAD]["told"] == "exit 6: changed and restored"
        assert (now[LATER]["release"], now[LATER]["told"]) == ("r580", "not begun")
        assert plays[1].differences(before[1]) == ""
        assert plays[0].drivers()[CANARY][-1] == DRIVER
        assert len({path.name for path in (tmp_path / "runs").iterdir()}) == 2, (
            "a run for each, and none more"
        )

        assert git(checkout, "status", "--porcelain") == "", "the user's files stay as they are"
        assert git(checkout, "worktree", "list").count("\n") == 1
        pinned = git(tmp_path / "ops.git", "show", f"main:matrix/clusters/{GOOD}.yaml")
        assert "release: r595" in pinned

        told = fleet("status")
        assert told.code == 3, "the third cluster can't be asked"
        assert "restored" in told.stdout
        assert "done" in told.stdout
