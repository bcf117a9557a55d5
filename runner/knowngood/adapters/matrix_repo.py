"""The matrix's Git repository: which revision a plan was made from, and where proof is committed.

The repository is the operator's own checkout, so only the files written here are committed, whatever else is
staged or changed stays as it is, and a file with uncommitted changes is never overwritten.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from knowngood.adapters.git_command import GitCommand, GitFailed, explain, identity, quiet_environment
from knowngood.adapters.git_repo import message
from knowngood.matrix.spanedit import edit_scalar, read_scalar
from knowngood.model import names
from knowngood.model.errors import UsageError
from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Status
from knowngood.ports.promotion import Promotion

TRAILER_CLUSTER = "Knowngood-Cluster"
_RANK = {Status.CANDIDATE: 0, Status.REHEARSED: 1, Status.KNOWN_GOOD: 2}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class MatrixRepository(Promotion):
    """Commits into the repository that holds `matrix` (a folder with `releases/`) on its current branch.

    `push`: push to the branch's upstream where it has one; without, the commit stays local.
    """

    def __init__(self, matrix: Path, *, push: bool = False, deadline: float = 120.0) -> None:
        self._matrix = matrix.resolve()
        self._git = _command(self._matrix, deadline)
        self._push = push

    def promote(self, release: str, status: str, cluster: str, evidence: Mapping[str, Any]) -> str:
        """Evidence, status and pin in one commit; returns it."""
        release_file = self._file("releases", f"{release}.yaml")
        cluster_file = self._file("clusters", f"{cluster}.yaml")
        edits = {release_file: ("status", status), cluster_file: ("release", release)}
        if not _raises(self._read(release_file, "status"), status):
            del edits[release_file]
        subject = f"{release} is {status}: proven on {cluster}"
        return self._commit(subject, release, cluster, evidence, edits)

    def record_failure(self, release: str, cluster: str, evidence: Mapping[str, Any]) -> str:
        """Evidence of a failed run in one commit; returns it."""
        return self._commit(f"{release} was not proven on {cluster}", release, cluster, evidence, {})

    def _commit(
        self,
        subject: str,
        release: str,
        cluster: str,
        evidence: Mapping[str, Any],
        edits: Mapping[Path, tuple[str, str]],
    ) -> str:
        run = str(evidence.get("run", ""))
        for name in (release, cluster, run):
            if not _NAME.fullmatch(name):
                raise UsageError(f"{name!r} can't name an evidence file", where=str(self._matrix))
        trailers = {
            names.TRAILER_RUN: run,
            names.TRAILER_RELEASE: release,
            TRAILER_CLUSTER: cluster,
        }
        proof = self._matrix / "evidence" / cluster / f"{release}-{run}.json"
        if done := self._committed(trailers, proof):
            return done
        self._refuse_dirty((proof, *edits))
        proof.parent.mkdir(parents=True, exist_ok=True)
        proof.write_text(json.dumps(to_json(evidence), indent=2, sort_keys=True) + "\n")
        for file, (path, value) in edits.items():
            text = file.read_bytes().decode("utf-8")
            file.write_bytes(edit_scalar(text, path, value, file=str(file)).encode("utf-8"))
        files = [str(f) for f in (proof, *edits)]
        self._git.run("add", "--", *files)
        how = ("--quiet", "--no-verify", "--no-gpg-sign", "--only", "--cleanup=verbatim")
        self._git.run("commit", *how, "-m", message(subject, "", trailers).rstrip("\n"), "--", *files)
        commit = self._git.run("rev-parse", "HEAD").text
        if self._push:
            self._send()
        return commit

    def _committed(self, trailers: Mapping[str, str], proof: Path) -> str:
        greps = [f"--grep={key}: {value}" for key, value in trailers.items()]
        how = ("--fixed-strings", "--all-match", "--diff-filter=A", "--format=%H", "-1")
        return self._git.run("log", *how, *greps, "--", str(proof), ok=(0, 128)).text

    def _refuse_dirty(self, files: tuple[Path, ...]) -> None:
        done = self._git.run("status", "--porcelain", "--", *(str(f) for f in files))
        if done.text:
            raise UsageError(
                "there are uncommitted changes in a file that the promotion has to write",
                where=done.text.split(maxsplit=1)[-1].splitlines()[0],
                hint="commit or drop them, then knowngood resume",
            )

    def _send(self) -> None:
        upstream = self._git.run("rev-parse", "--abbrev-ref", "--symbolic-full-name", "@{u}", ok=(0, 128))
        if upstream.code != 0:
            return
        remote, _, branch = upstream.text.partition("/")
        try:
            self._git.run("push", "--quiet", "--no-verify", remote, f"HEAD:refs/heads/{branch}")
        except GitFailed as error:
            raise explain(error, upstream.text, "push of the evidence") from error

    def _file(self, folder: str, name: str) -> Path:
        path = self._matrix / folder / name
        if not path.is_file():
            raise UsageError("there is no such file in the matrix", where=str(path))
        return path

    def _read(self, file: Path, path: str) -> str:
        return read_scalar(file.read_bytes().decode("utf-8"), path, file=str(file))


def matrix_revision(matrix: Path) -> tuple[str, bool]:
    """The commit of the repository that holds `matrix`, and whether the matrix has uncommitted changes.

    ("", False) for a plain folder.
    """
    try:
        git = _command(matrix.resolve(), 60.0)
    except UsageError:
        return "", False
    commit = git.run("rev-parse", "--verify", "--quiet", "HEAD", ok=(0, 1, 128)).text
    changed = git.run("status", "--porcelain", "--", str(matrix.resolve())).text
    return commit, bool(changed)


def matrix_at(matrix: Path, revision: str, into: Path) -> tuple[Path, str]:
    """Unpack the matrix of another revision into the folder `into`; returns its path there and its commit."""
    git = _command(matrix.resolve(), 60.0)
    wanted = f"{revision}^{{commit}}"
    found = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", wanted, ok=(0, 1, 128))
    if found.code != 0:
        raise UsageError(f"{revision} is no revision of the matrix's repository", where=str(matrix))
    prefix = git.run("rev-parse", "--show-prefix").text
    done = git.run("archive", "--format=tar", found.text, "--", ".", ok=(0, 128))
    if done.code != 0:
        raise UsageError(f"there is no matrix at {revision}", where=prefix or ".")
    with tarfile.open(fileobj=io.BytesIO(done.out)) as archive:
        _unpack(archive, into)
    return into, found.text


def merge_base(matrix: Path, revision: str) -> str:
    """Where the present branch left `revision`, as a commit; `revision` itself where they share nothing.

    What was added to the other branch since is not missing in this one.
    """
    git = _command(matrix.resolve(), 60.0)
    wanted = f"{revision}^{{commit}}"
    found = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", wanted, ok=(0, 1, 128))
    if found.code != 0:
        hint = "name a commit, a branch or a tag; in CI check out the whole history (fetch-depth: 0)"
        raise UsageError(
            f"{revision} is no revision of the matrix's repository", where=str(matrix), hint=hint
        )
    shared = git.run("merge-base", found.text, "HEAD", ok=(0, 1, 128))
    return shared.text if shared.code == 0 and shared.text else found.text


def _unpack(archive: tarfile.TarFile, into: Path) -> None:
    """Plain files only, inside `into` only. `extractall` has a safe filter only from Python 3.11.4 on."""
    root = into.resolve()
    for member in archive:
        target = (root / member.name).resolve()
        content = archive.extractfile(member) if member.isfile() else None
        if content is not None and target.is_relative_to(root):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.read())


def _raises(present: str, wanted: str) -> bool:
    """Whether `wanted` is a better status than `present`; a revoked or deprecated release is never touched."""
    if present not in _RANK:
        return False
    return _RANK[Status(wanted)] > _RANK[Status(present)]


def _command(matrix: Path, deadline: float) -> GitCommand:
    if not matrix.is_dir():
        raise UsageError("there is no such folder", where=str(matrix))
    no_hooks = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.hooksPath",
        "GIT_CONFIG_VALUE_0": "/dev/null",
    }
    env = {**quiet_environment(), **identity(), **no_hooks}
    git = GitCommand(matrix, env, deadline=deadline)
    inside = git.run("rev-parse", "--is-inside-work-tree", ok=(0, 128))
    if inside.text != "true":
        raise UsageError(
            "the matrix is not in a Git repository, so nothing can be promoted",
            where=str(matrix),
            hint="git init there, or name a matrix that is in one",
        )
    return git
