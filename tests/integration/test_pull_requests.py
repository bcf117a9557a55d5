"""A whole run where the GitOps branch takes only pull requests: each change and its undo go by a branch that is merged.

Real twin, Git with a hook that refuses every push to the branch, Argo CD, Ansible, pytest. A script plays the host.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from tests.integration.faults.rows import CANARY, NEW, QUICK
from tests.integration.play import Play, explained, staged

GUARD = """#!/bin/sh
while read old new ref; do
  [ "$ref" != refs/heads/BRANCH ] || { echo 'pull requests only'; exit 1; }
done
"""
MERGE = """#!/bin/sh -eu
rm -rf "HOST" && git clone -q "REPO" "HOST" && cd "HOST"
git config user.name Host && git config user.email host@example.com
git merge -q --squash "origin/$1" && git commit -q -m "merged by the host (#7)"
mv "REPO/hooks/pre-receive" "REPO/hooks/away"
git push -q origin "HEAD:BRANCH"
mv "REPO/hooks/away" "REPO/hooks/pre-receive"
git push -q origin ":$1"
"""


def guarded(play: Play) -> None:
    """The branch takes no push of ours, and the cluster file names what merges."""
    repo, branch = play.stage.repo, play.git("symbolic-ref", "--short", "HEAD").strip()
    host = play.stage.folder / "host"
    hook, merge = repo / "hooks" / "pre-receive", play.stage.folder / "merge"
    for script, text in ((hook, GUARD), (merge, MERGE)):
        script.parent.mkdir(exist_ok=True)
        script.write_text(
            text.replace("HOST", str(host)).replace("REPO", str(repo)).replace("BRANCH", branch)
        )
        script.chmod(0o755)
    command = [str(merge), "{branch}"]
    file = play.stage.matrix / "clusters" / "lab-small.yaml"
    values = yaml.safe_load(file.read_text())
    values["gitops"]["pullRequests"] = {"open": command, "merge": ["true"], "waitSeconds": 20}
    file.write_text(yaml.safe_dump(values))
    if (play.stage.matrix / ".git").exists() or (play.stage.matrix.parent / ".git").exists():
        who = ("-c", "user.name=Jo", "-c", "user.email=jo@example.com")
        subprocess.run(["git", *who, "commit", "-qam", "pull requests"], cwd=play.stage.matrix, check=True)


@pytest.mark.slow
def test_a_canary_that_fails_is_brought_back_by_pull_requests_alone(tmp_path: Path) -> None:
    with staged(tmp_path / "stage", "lab-small", limits=QUICK) as play:
        guarded(play)
        before = play.snapshot("before")
        play.stage.fault("xid-31-after-driver", CANARY, {"version": NEW})
        ended = play.upgrade("r595")
        assert (ended.code, ended.result["end"]) == (6, "restored"), explained(ended)
        assert play.hits("xid-31-after-driver"), "it never hit"
        play.stage.clear_faults()
        assert play.differences(before) == ""
        assert play.commits()[:2] == ["merged by the host (#7)"] * 2, "out and back, by nobody but the host"
        assert "knowngood/" not in play.git("for-each-ref", "--format=%(refname:short)", "refs/heads")
