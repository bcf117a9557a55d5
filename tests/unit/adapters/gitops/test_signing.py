"""Where the user's Git signs, our commits are signed; elsewhere nothing of their configuration reaches our clone."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from knowngood.adapters.gitops.git import GitOpsRepository
from knowngood.adapters.gitops.matrix_repo import MatrixRepository
from knowngood.model.errors import Inconclusive

from .conftest import Team, change, trailers
from .desk import desk_at

needs_keygen = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="ssh-keygen is not on PATH")
Clone = Callable[..., GitOpsRepository]


@pytest.fixture(name="home")
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("GIT_CONFIG_GLOBAL", raising=False)
    monkeypatch.chdir(home)
    return home


def configured(home: Path, signs: str = "true", key: str = "~/key.pub") -> None:
    text = f"[commit]\n\tgpgSign = {signs}\n[gpg]\n\tformat = ssh\n[user]\n\tsigningKey = {key}\n"
    (home / ".gitconfig").write_text(f"{text}\tname = Jo\n\temail = jo@example.com\n")


@needs_keygen
def test_commits_are_signed_with_the_users_key_and_say_who_signed(
    team: Team, clone: Clone, home: Path
) -> None:
    """A host shows a signature as verified only where the committer is the key's."""
    key = home / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    configured(home)
    commit = clone().declare([change("ring-0")], "ring-0", trailers("ring-0"))
    team.log()
    signers = home / "signers"
    signers.write_text(f"jo@example.com {(home / 'key.pub').read_text()}")
    how = ("-c", "gpg.format=ssh", "-c", f"gpg.ssh.allowedSignersFile={signers}")
    assert team.git(*how, "log", "-1", "--format=%G? %cn %an", commit) == "G Jo knowngood"


@pytest.mark.skipif(shutil.which("gpg") is None, reason="gpg is not on PATH")
def test_commits_are_signed_with_the_users_gpg_key(
    team: Team, clone: Clone, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git's own default: no gpg.format is said."""
    with tempfile.TemporaryDirectory(prefix="kg-") as ring:  # its agent's socket has a short path
        monkeypatch.setenv("GNUPGHOME", ring)
        how = ["gpg", "--batch", "--quiet", "--passphrase", "", "--quick-generate-key"]
        subprocess.run(
            [*how, "Jo <jo@example.com>", "ed25519", "sign", "never"], check=True, capture_output=True
        )
        name = "[user]\n\tname = Jo\n\temail = jo@example.com\n"
        (home / ".gitconfig").write_text(f"[commit]\n\tgpgSign = true\n{name}")
        try:
            commit = clone().declare([change("ring-0")], "ring-0", trailers("ring-0"))
            team.log()
            assert team.git("log", "-1", "--format=%G? %cn %an", commit) in (
                "G Jo knowngood",
                "U Jo knowngood",
            )
        finally:
            subprocess.run(["gpgconf", "--kill", "all"], check=False, capture_output=True)


@needs_keygen
@pytest.mark.parametrize("how", ["missing", "locked", "unnamed"])
def test_a_signature_that_cant_be_made_pushes_nothing_and_says_what_to_do(
    team: Team, clone: Clone, home: Path, how: str
) -> None:
    if how == "locked":
        words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(home / "key")]
        subprocess.run(words, check=True)
    configured(home, key={"missing": "~/nothing.pub", "locked": "~/key.pub", "unnamed": ""}[how])
    with pytest.raises(Inconclusive, match="git commit") as told:
        clone().declare([change("ring-0")], "ring-0", trailers("ring-0"))
    assert "the key must be there without asking anybody" in told.value.hint
    assert len(team.log()) == 1


def test_a_signature_that_is_waited_for_is_no_remote_that_is_down(
    team: Team, clone: Clone, home: Path
) -> None:
    """An agent that asks a human on a screen which nobody sees."""
    asks = home / "asks"
    asks.write_text("#!/bin/sh\nexec sleep 60\n")
    asks.chmod(0o755)
    (home / ".gitconfig").write_text(f"[commit]\n\tgpgSign = true\n[gpg]\n\tprogram = {asks}\n")
    with pytest.raises(Inconclusive, match="git commit gave no answer in 2 s") as told:
        clone(deadline=2.0).declare([change("ring-0")], "ring-0", trailers("ring-0"))
    assert "the key must be there without asking anybody" in told.value.hint


def test_without_it_the_commits_are_ours_alone(team: Team, clone: Clone, home: Path) -> None:
    configured(home, signs="false", key="~/nothing.pub")
    commit = clone().declare([change("ring-0")], "ring-0", trailers("ring-0"))
    team.log()
    assert team.git("log", "-1", "--format=%G? %cn", commit) == "N knowngood"


@needs_keygen
def test_a_record_in_the_users_own_repository_is_signed_too(tmp_path: Path, home: Path) -> None:
    """By what that repository says: one may sign, and another not."""
    key = home / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    desk = desk_at(tmp_path)
    settings = {"commit.gpgSign": "true", "gpg.format": "ssh", "user.signingKey": str(key), "user.name": "Jo"}
    for name, value in settings.items():
        desk.git("config", name, value)
    file = desk.matrix / "releases" / "r595.yaml"
    repository = MatrixRepository(desk.matrix, branch="main")
    commit = repository._commit("r595: rehearsed", "", {}, {file: "status: rehearsed\n"})
    assert desk.git("cat-file", "commit", commit).count("BEGIN SSH SIGNATURE") == 1
    assert desk.git("log", "-1", "--format=%cn %an", commit) == "Jo knowngood"
