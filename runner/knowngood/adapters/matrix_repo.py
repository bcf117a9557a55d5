"""The matrix's Git repository: which revision a plan was made from, and where proof is committed.

The repository is the operator's own checkout, so only the files written here are committed, whatever else is
staged or changed stays as it is, and a file with uncommitted changes is never overwritten.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from knowngood.adapters.gate_suite import digest_at, suite_of
from knowngood.adapters.git_command import GitCommand, GitFailed, explain
from knowngood.adapters.git_environment import identity, quiet_environment
from knowngood.adapters.git_repo import message
from knowngood.matrix import build, documents
from knowngood.matrix.locate import gates_dir
from knowngood.matrix.spanedit import edit_scalar, read_scalar
from knowngood.model import names
from knowngood.model.errors import Inconclusive, UsageError
from knowngood.model.evidence import REFUSED, Appraisal, Evidence, evidence_of
from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Status
from knowngood.planner.status import Standard, appraise, raised
from knowngood.ports.promotion import Promotion

TRAILER_CLUSTER = "Knowngood-Cluster"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
MAX_NAME = 255
"""Of a file, in most file systems."""


class MatrixRepository(Promotion):
    """Commits into the repository that holds `matrix` (a folder with `releases/`) on its current branch.

    `push`: push to the branch's upstream where it has one; without, the commit stays local. `by_hand` is what a person
    asked for, in words; "" means a run. A person who asks for a push without an upstream is refused.
    """

    def __init__(
        self, matrix: Path, *, push: bool = False, by_hand: str = "", deadline: float = 120.0
    ) -> None:
        self._matrix = matrix.resolve()
        self._git = _command(self._matrix, deadline, f"{by_hand or 'the promotion'} can't be committed")
        self._push = push
        self._by_hand = by_hand
        if push and by_hand and not self._upstream():
            raise UsageError(
                "the branch has no upstream, so nothing can be pushed; nothing was written",
                where=str(matrix),
                hint="git push -u REMOTE BRANCH sets one; or leave --push away",
            )

    def appraise(self, evidence: Mapping[str, Any], now: str) -> Appraisal:
        """By the files as they are now; what is broken elsewhere in the matrix does not matter here."""
        found = documents.read(self._matrix)
        values = build.matrix(found)
        taken = evidence_of(evidence)
        gates, gates_from = self._gates_for(taken)
        standard = Standard(
            release=values.releases.get(taken.release),
            profile=values.profiles.get(taken.profile),
            cluster=values.clusters.get(taken.cluster),
            components=values.components,
            gates=gates,
            gates_from=gates_from,
            now=now,
            others=tuple(evidence_of(e.value) for e in found.evidence),
        )
        return appraise(taken, standard)

    def promote(self, release: str, status: str, cluster: str, evidence: Mapping[str, Any]) -> str:
        """Evidence, status and pin in one commit; returns it."""
        release_file = self._file("releases", f"{release}.yaml")
        cluster_file = self._file("clusters", f"{cluster}.yaml")
        texts = {cluster_file: self._edited(cluster_file, "release", release)}
        if raises(self._read(release_file, "status"), status):
            texts[release_file] = self._edited(release_file, "status", status)
        subject = f"{release} is {status}: {'run' if status == REFUSED else 'proven'} on {cluster}"
        return self._record(subject, release, cluster, evidence, texts)

    def bring(self, release: str, status: str, evidence: Mapping[str, Any]) -> str:
        """Evidence that a person brings, and the status it earns; pins nothing. "" where all is there already."""
        release_file = self._file("releases", f"{release}.yaml")
        texts = {}
        if raises(self._read(release_file, "status"), status):
            texts[release_file] = self._edited(release_file, "status", status)
        cluster = str(evidence["cluster"])
        subject = f"{release} is {status}: proven on {cluster}"
        return self._record(subject, release, cluster, evidence, texts, again=True)

    def record_failure(self, release: str, cluster: str, evidence: Mapping[str, Any]) -> str:
        """Evidence of a failed run in one commit; returns it."""
        return self._record(f"{release} was not proven on {cluster}", release, cluster, evidence, {})

    def change(self, subject: str, body: str, texts: Mapping[str, str], release: str) -> str:
        """Release files (name -> new text) in one commit; returns it. Nothing is written where one is refused."""
        files = {self._file("releases", f"{name}.yaml"): text for name, text in texts.items()}
        return self._commit(subject, body, {names.TRAILER_RELEASE: release}, files)

    def text(self, release: str) -> tuple[str, str]:
        """A release file's path and text."""
        file = self._file("releases", f"{release}.yaml")
        return str(file), file.read_bytes().decode("utf-8")

    def _gates_for(self, evidence: Evidence) -> tuple[str, str]:
        """The digest that the evidence's gates must have, and whose it is.

        That of the commit it names, where this repository has it and keeps gates; else this program's own.
        """
        if at_commit := digest_at(self._matrix, evidence.gates.commit):
            return at_commit, f"commit {evidence.gates.commit[:12]}"
        return suite_of(gates_dir()).digest, "this program"

    def _record(
        self,
        subject: str,
        release: str,
        cluster: str,
        evidence: Mapping[str, Any],
        texts: Mapping[Path, str],
        *,
        again: bool = False,
    ) -> str:
        """Evidence and edits in one commit. `again`: also where that run's evidence was committed before."""
        run = str(evidence.get("run", ""))
        for name in (release, cluster, run):
            if not _NAME.fullmatch(name) or len(f"{release}-{run}.json") > MAX_NAME:
                raise UsageError(f"{name!r} can't name an evidence file", where=str(self._matrix))
        trailers = {
            names.TRAILER_RUN: run,
            names.TRAILER_RELEASE: release,
            TRAILER_CLUSTER: cluster,
        }
        proof = self._matrix / "evidence" / cluster / f"{release}-{run}.json"
        if not again and (done := self._committed(trailers, proof)):
            if self._push:  # the push may be what failed the first time
                self._send(done)
            return done
        text = json.dumps(to_json(evidence), indent=2, sort_keys=True) + "\n"
        if again and proof.is_file():
            text = self._same(proof, evidence)
        return self._commit(subject, "", trailers, {proof: text, **texts})

    def _same(self, proof: Path, evidence: Mapping[str, Any]) -> str:
        """The text of that run's evidence as it is in the matrix: it is never edited, so it must say the same."""
        text = proof.read_bytes().decode("utf-8")
        try:
            there = json.loads(text)
        except ValueError:
            there = {}
        if _said(there) != _said(to_json(evidence)):
            counted = f", counted as {there.get('status')}: {there.get('because')}" if there else ""
            raise UsageError(
                f"the matrix holds evidence of this run already{counted}",
                where=str(proof),
                hint="evidence is never edited: prove the release again",
            )
        return text

    def _commit(self, subject: str, body: str, trailers: Mapping[str, str], texts: Mapping[Path, str]) -> str:
        """Write the files and commit them alone; "" where nothing changes. What can't be committed is taken back."""
        self._refuse_dirty(tuple(texts))
        before = {file: file.read_bytes() if file.is_file() else None for file in texts}
        try:
            for file, text in texts.items():
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(text.encode("utf-8"))
            commit = self._committed_now(message(subject, body, trailers).rstrip("\n"), map(str, texts))
        except BaseException:
            for file, data in before.items():
                _put_back(file, data)
            self._git.run("reset", "--quiet", "--", *map(str, texts), ok=(0, 1, 128))
            raise
        if self._push and (commit or self._by_hand):  # asked again, a person wants what is here to be there
            self._send(commit or self._git.run("rev-parse", "HEAD").text)
        return commit

    def _committed_now(self, text: str, paths: Iterable[str]) -> str:
        files = list(paths)
        if not self._git.run("status", "--porcelain", "--", *files).text:
            return ""
        self._git.run("add", "--", *files)
        how = ("--quiet", "--no-verify", "--no-gpg-sign", "--only", "--cleanup=verbatim")
        self._git.run("commit", *how, "-m", text, "--", *files)
        return self._git.run("rev-parse", "HEAD").text

    def _committed(self, trailers: Mapping[str, str], proof: Path) -> str:
        greps = [f"--grep={key}: {value}" for key, value in trailers.items()]
        how = ("--fixed-strings", "--all-match", "--diff-filter=A", "--format=%H", "-1")
        return self._git.run("log", *how, *greps, "--", str(proof), ok=(0, 128)).text

    def _refuse_dirty(self, files: tuple[Path, ...]) -> None:
        done = self._git.run("status", "--porcelain", "--", *(str(f) for f in files))
        if done.text:
            raise UsageError(
                f"there are uncommitted changes in a file that {self._by_hand or 'the promotion'} has to write",
                where=done.text.split(maxsplit=1)[-1].splitlines()[0],
                hint=f"commit or drop them, then {'ask again' if self._by_hand else 'knowngood resume'}",
            )

    def _upstream(self) -> str:
        """`origin/main`, "" where the branch has none or there is no branch."""
        found = self._git.run("rev-parse", "--abbrev-ref", "--symbolic-full-name", "@{u}", ok=(0, 128))
        return found.text if found.code == 0 else ""

    def _send(self, commit: str) -> None:
        """Push; an error says that the commit stays, for nobody would look for it."""
        upstream = self._upstream()
        if not upstream:
            return
        remote, _, branch = upstream.partition("/")
        said = f"committed here as {commit[:12]}, not pushed"
        try:
            self._git.run("push", "--quiet", "--no-verify", remote, f"HEAD:refs/heads/{branch}")
        except Inconclusive as error:  # a failed command, or one that gave no answer
            found = explain(error, upstream, said) if isinstance(error, GitFailed) else error
            if not self._by_hand:
                raise found from error
            message = found.message if isinstance(error, GitFailed) else f"{said}: {found.message}"
            raise Inconclusive(message, where=upstream, hint="git pull --rebase && git push") from error

    def _file(self, folder: str, name: str) -> Path:
        path = self._matrix / folder / name
        if not path.is_file():
            raise UsageError("there is no such file in the matrix", where=str(path))
        return path

    def _edited(self, file: Path, path: str, value: str) -> str:
        return edit_scalar(file.read_bytes().decode("utf-8"), path, value, file=str(file))

    def _read(self, file: Path, path: str) -> str:
        return read_scalar(file.read_bytes().decode("utf-8"), path, file=str(file))


def matrix_at(matrix: Path, revision: str, into: Path) -> tuple[Path, str]:
    """Unpack the matrix of another revision into the folder `into`; returns its path there and its commit."""
    git = _command(matrix.resolve(), 60.0, "there is no revision to compare with")
    commit = _commit_of(git, matrix, revision)
    prefix = git.run("rev-parse", "--show-prefix").text
    done = git.run("archive", "--format=tar", commit, "--", ".", ok=(0, 128))
    if done.code != 0:
        raise UsageError(f"there is no matrix at {revision}", where=prefix or ".")
    with tarfile.open(fileobj=io.BytesIO(done.out)) as archive:
        _unpack(archive, into)
    return into, commit


def merge_base(matrix: Path, revision: str) -> str:
    """Where the present branch left `revision`, as a commit; `revision` itself where they share nothing.

    What was added to the other branch since is not missing in this one.
    """
    git = _command(matrix.resolve(), 60.0, "there is no revision to compare with")
    commit = _commit_of(git, matrix, revision)
    shared = git.run("merge-base", commit, "HEAD", ok=(0, 1, 128))
    return shared.text if shared.code == 0 and shared.text else commit


def _commit_of(git: GitCommand, matrix: Path, revision: str) -> str:
    """The commit that a revision names; UsageError where there is none."""
    wanted = f"{revision}^{{commit}}"
    found = git.run("rev-parse", "--verify", "--quiet", "--end-of-options", wanted, ok=(0, 1, 128))
    if found.code != 0:
        hint = "name a commit, a branch or a tag; in CI check out the whole history (fetch-depth: 0)"
        raise UsageError(
            f"{revision} is no revision of the matrix's repository", where=str(matrix), hint=hint
        )
    return found.text


def _unpack(archive: tarfile.TarFile, into: Path) -> None:
    """Plain files only, inside `into` only. `extractall` has a safe filter only from Python 3.11.4 on."""
    root = into.resolve()
    for member in archive:
        target = (root / member.name).resolve()
        content = archive.extractfile(member) if member.isfile() else None
        if content is not None and target.is_relative_to(root):
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content.read())


def raises(present: str, earned: str) -> bool:
    """Whether `earned` is a better status than `present`; a revoked or deprecated release is never touched."""
    if present not in set(Status) or earned not in set(Status):
        return False
    return raised(Status(present), Status(earned)) is not Status(present)


def _put_back(file: Path, data: bytes | None) -> None:
    if data is None:
        file.unlink(missing_ok=True)
    else:
        file.write_bytes(data)


def _said(evidence: Mapping[str, Any]) -> dict[str, Any]:
    """What evidence says, without the words for it."""
    return {k: v for k, v in evidence.items() if k not in ("because", "expires")}


def _command(matrix: Path, deadline: float, lost: str) -> GitCommand:
    """Git in the matrix's folder; UsageError where there is none, with what is lost by that."""
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
            f"the matrix is not in a Git repository, so {lost}",
            where=str(matrix),
            hint="git init there, or name a matrix that is in one",
        )
    return git
