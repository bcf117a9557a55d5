"""The user's own credentials reach our clone, however they keep them; the rest of their Git does not."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tests.unit.adapters.gitops.desk import Desk, desk_at

from knowngood.adapters.gitops.matrix_record import MatrixClone
from knowngood.adapters.gitops.matrix_target import destination
from knowngood.adapters.gitops.users_git import Login, UsersGit, split
from knowngood.model.errors import UsageError

LOGIN = "Basic " + base64.b64encode(b"jo:s3cret").decode()


class GitOverHttp(BaseHTTPRequestHandler):
    """A Git server that asks for a password: git's own backend behind one."""

    root = ""

    def do_GET(self) -> None:
        if self.headers.get("Authorization") != LOGIN:
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="git"')
            self.end_headers()
            return
        path, _, query = self.path.partition("?")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        env = {
            "PATH": os.environ["PATH"],
            "GIT_PROJECT_ROOT": self.root,
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "jo",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=env, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.decode().split(": ", 1) for line in head.splitlines())
        self.send_response(int(fields.pop("Status", "200").split()[0]))
        for name, value in fields.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 (the name that http.server looks for)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    desk = desk_at(tmp_path)
    handler = type("Handler", (GitOverHttp,), {"root": str(tmp_path)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    desk.git("config", "remote.origin.url", f"http://127.0.0.1:{server.server_port}/remote.git")
    yield desk
    server.shutdown()
    server.server_close()
    thread.join()


def url(desk: Desk, userinfo: str = "") -> str:
    return desk.git("config", "remote.origin.url").replace("//", f"//{userinfo}@" if userinfo else "//")


def global_config(desk: Desk, text: str) -> None:
    (Path(os.environ["HOME"]) / ".gitconfig").write_text(text)


def in_the_url(desk: Desk) -> None:
    desk.git("config", "remote.origin.url", url(desk, "jo:s3cret"))


def in_a_helper_of_the_user(desk: Desk) -> None:
    (Path(os.environ["HOME"]) / ".git-credentials").write_text(
        url(desk, "jo:s3cret").removesuffix("/remote.git")
    )
    global_config(desk, "[credential]\n\thelper = store\n")


def in_a_header_of_the_checkout(desk: Desk) -> None:
    """As GitHub's checkout action keeps its token."""
    server = url(desk).removesuffix("remote.git")
    desk.git("config", f"http.{server}.extraheader", f"AUTHORIZATION: {LOGIN}")


def in_a_file_for_this_checkout_only(desk: Desk) -> None:
    more = desk.run.parent / "more"
    more.write_text(f'[http]\n\textraheader = "AUTHORIZATION: {LOGIN}"\n')
    desk.git("config", f"includeIf.gitdir:{desk.root}/.git.path", str(more))


def behind_another_name(desk: Desk) -> None:
    here = url(desk, "jo:s3cret").removesuffix("remote.git")
    desk.git("config", "remote.origin.url", "https://git.example.com/remote.git")
    global_config(desk, f'[url "{here}"]\n\tinsteadOf = https://git.example.com/\n')


@pytest.mark.parametrize(
    "keep",
    [
        in_the_url,
        in_a_helper_of_the_user,
        in_a_header_of_the_checkout,
        in_a_file_for_this_checkout_only,
        behind_another_name,
    ],
)
def test_the_users_credentials_work_and_are_in_no_file_of_ours(desk: Desk, keep: object) -> None:
    assert callable(keep)
    keep(desk)
    MatrixClone(desk.matrix, destination(desk.matrix), desk.run).ready("r595", "ams")
    told = MatrixClone(desk.matrix, destination(desk.matrix), desk.run).promote(
        "r595", "rehearsed", "ams", {"run": "r1", "release": "r595", "cluster": "ams"}
    )
    assert told.commit == desk.there()
    for secret in ("s3cret", LOGIN.split()[1]):
        found = subprocess.run(["grep", "-r", secret, str(desk.run)], capture_output=True, check=False)
        assert found.stdout == b""


def test_an_askpass_program_that_the_environment_names_is_asked(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Jenkins gives a job its credentials."""
    answer = desk.run.parent / "askpass"
    answer.write_text('#!/bin/sh\ncase "$1" in Username*) echo jo ;; *) echo s3cret ;; esac\n')
    answer.chmod(0o755)
    monkeypatch.setenv("GIT_ASKPASS", str(answer))
    assert MatrixClone(desk.matrix, destination(desk.matrix), desk.run).ready("r595", "ams")


def test_without_credentials_it_is_refused_and_nobody_is_asked(desk: Desk) -> None:
    with pytest.raises(UsageError, match="refused our credentials") as raised:
        MatrixClone(desk.matrix, destination(desk.matrix), desk.run).ready("r595", "ams")
    assert "your own Git credentials" in raised.value.hint


def test_who_may_read_and_not_push_is_found_out_before_a_run_starts(desk: Desk) -> None:
    in_the_url(desk)
    subprocess.run(
        ["git", "config", "http.receivepack", "false"], cwd=desk.remote, check=True, capture_output=True
    )
    with pytest.raises(UsageError):
        MatrixClone(desk.matrix, destination(desk.matrix), desk.run).ready("r595", "ams")


@pytest.mark.parametrize(
    ("written", "login"),
    [
        ("https://jo:p%40ss@git.example.com/x.git", Login("https://git.example.com/x.git", "jo", "p@ss")),
        ("https://token@git.example.com:8443/x", Login("https://git.example.com:8443/x", "token", "")),
        ("https://git.example.com/x.git", Login("https://git.example.com/x.git")),
        ("git@git.example.com:ops.git", Login("git@git.example.com:ops.git")),
        ("ssh://git@git.example.com/ops.git", Login("ssh://git@git.example.com/ops.git")),
        ("ssh://git:pw@git.example.com/ops.git", Login("ssh://git@git.example.com/ops.git")),
        ("/srv/ops.git", Login("/srv/ops.git")),
    ],
)
def test_a_url_is_shown_without_what_is_secret_in_it(written: str, login: Login) -> None:
    assert split(written) == login


@pytest.mark.parametrize(
    ("frozen", "reached"),
    [
        ("https://git.example.com/ops/matrix.git", "git@git.example.com:ops/matrix.git"),
        ("https://git.example.com/ops/matrix", "git@git.example.com:ops/matrix.git"),
        ("ssh://git@GIT.example.com:22/ops/matrix.git", "git@git.example.com:ops/matrix.git"),
        ("https://git.example.com/ops/other.git", "https://git.example.com/ops/other.git"),
        ("https://elsewhere.example.com/ops/matrix.git", "https://elsewhere.example.com/ops/matrix.git"),
        ("/ops/matrix.git", "/ops/matrix.git"),
    ],
)
def test_what_a_ci_job_began_is_delivered_by_the_engineers_own_way_to_that_repository(
    tmp_path: Path, frozen: str, reached: str
) -> None:
    desk = desk_at(tmp_path)
    desk.git("config", "remote.origin.url", "git@git.example.com:ops/matrix.git")
    assert UsersGit(desk.matrix).nearest(frozen) == reached


@pytest.mark.parametrize(
    ("environment", "config", "expected"),
    [
        ("", "", "ssh -o BatchMode=yes -o ConnectTimeout=20"),
        ("ssh -i /k", "", "ssh -i /k -o BatchMode=yes -o ConnectTimeout=20"),
        ("", "ssh -F /f", "ssh -F /f -o BatchMode=yes -o ConnectTimeout=20"),
        ("tsh ssh", "ssh -F /f", "tsh ssh"),
        ('ssh -i "', "", 'ssh -i "'),
    ],
)
def test_ssh_is_the_users_and_asks_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, environment: str, config: str, expected: str
) -> None:
    monkeypatch.delenv("GIT_SSH", raising=False)
    monkeypatch.setenv("GIT_SSH_COMMAND", environment)
    desk = desk_at(tmp_path)
    if config:
        desk.git("config", "core.sshCommand", config)
    assert UsersGit(desk.matrix).in_place()["GIT_SSH_COMMAND"] == expected
    ours = UsersGit(desk.matrix).environment("git@git.example.com:x.git", tmp_path / "p", tmp_path / "c")
    assert ours["GIT_SSH_COMMAND"] == expected
