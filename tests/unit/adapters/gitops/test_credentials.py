"""Credentials are references; their value is in no argument, no file of ours and no message."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from knowngood.adapters.gitops.clone import Clone
from knowngood.adapters.processes.git_command import private_environment, without_secret
from knowngood.model.errors import Inconclusive, UsageError

URL = "https://git.example.com/ops/clusters.git"


def ask(env: dict[str, str], prompt: str) -> str:
    done = subprocess.run([env["GIT_ASKPASS"], prompt], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_token_in_the_environment_reaches_git_and_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPS_TOKEN", "s3cret")
    env = private_environment(tmp_path / "p", tmp_path / "c", URL, "env:OPS_TOKEN")
    assert ask(env, "Username for 'https://git.example.com': ") == "knowngood"
    assert ask(env, "Password for 'https://git.example.com': ") == "s3cret"
    assert all("s3cret" not in f.read_text() for f in (tmp_path / "p").iterdir())
    assert "s3cret" not in "".join(env.values())


def test_a_token_in_a_file_is_read_when_git_asks(tmp_path: Path) -> None:
    token = tmp_path / "it's a token"
    token.write_text("s3cret\nmore\n")
    env = private_environment(tmp_path / "p", tmp_path / "c", URL, f"file:{token}")
    assert ask(env, "Password for 'https://git.example.com': ") == "s3cret"


def test_a_file_is_a_key_for_ssh(tmp_path: Path) -> None:
    key = tmp_path / "id"
    key.write_text("key")
    env = private_environment(tmp_path / "p", tmp_path / "c", "git@git.example.com:ops.git", f"file:{key}")
    assert f"-i '{key}'" in env["GIT_SSH_COMMAND"]
    assert "BatchMode=yes" in env["GIT_SSH_COMMAND"]


@pytest.mark.parametrize(
    ("url", "reference", "match"),
    [
        ("https://jo:s3cret@git.example.com/ops.git", "", "holds a user or a password"),
        ("https://s3cret@git.example.com/ops.git", "", "holds a user or a password"),
        ("http://s3cret@localhost/ops.git", "env:HOME", "holds a user or a password"),
        ("ssh://git:s3cret@git.example.com/ops.git", "", "holds a user or a password"),
        ("http://git.example.com/ops.git", "env:HOME", "not sent over http"),
        (URL, "env:KNOWNGOOD_UNSET_TOKEN", "is empty"),
        (URL, "env:A;touch x", "use env:NAME"),
        (URL, "file:/nonexistent/token", "can't be read"),
        (URL, "vault:secret/ops", "vault: is not known"),
    ],
)
def test_a_bad_reference_is_refused_without_its_value(
    tmp_path: Path, url: str, reference: str, match: str
) -> None:
    with pytest.raises(UsageError) as raised:
        private_environment(tmp_path / "p", tmp_path / "c", url, reference)
    assert match in f"{raised.value} {raised.value.hint}"
    assert "s3cret" not in str(raised.value)
    assert not (tmp_path / "p" / "askpass").exists()


@pytest.mark.parametrize("url", ["git@git.example.com:ops.git", "ssh://git@git.example.com/ops.git"])
def test_ssh_names_its_user(tmp_path: Path, url: str) -> None:
    assert private_environment(tmp_path / "p", tmp_path / "c", url, "")


def test_a_commit_that_is_not_there_is_told_without_the_urls_user(tmp_path: Path) -> None:
    clone = Clone(tmp_path, "ssh://s3cret@git.example.com/ops.git", "main")
    with pytest.raises(Inconclusive, match=r"ssh://git\.example\.com/ops\.git: the commit") as raised:
        clone.parse("deadbeef")
    assert "s3cret" not in str(raised.value)


def test_messages_show_a_url_without_its_user() -> None:
    assert without_secret("https://jo:s3cret@git.example.com/ops.git") == "https://git.example.com/ops.git"
