"""Git as Argo CD's repository server uses it: a mirror, the commit of a branch, the files of a folder at a commit."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from knowngood.twin.values import Object

TIMEOUT_S = 60.0
RENDERED = "kustomize"  # in place of a file's name, what a kustomization makes
CHART, MADE = "Chart.yaml", "helm"  # and what a chart makes


class GitError(Exception):
    """Git said no; the message is its own."""


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit and what it says."""

    sha: str
    message: str

    @property
    def subject(self) -> str:
        """Its first line."""
        return self.message.partition("\n")[0]

    @property
    def is_revert(self) -> bool:
        """Whether it undoes another one: git revert's own words, or a trailer that says what it undoes."""
        text = self.message.lower()
        return text.startswith("revert") or "this reverts commit" in text or "-undoes:" in text


class Mirror:
    """Our bare copy of one repository."""

    def __init__(self, state_dir: Path, url: str) -> None:
        self._url = url
        self._folder = state_dir / "argocd" / f"{hashlib.sha256(url.encode()).hexdigest()[:12]}.git"
        self._lock = asyncio.Lock()
        self._refs = b""  # what the remote answered at the last fetch
        self._commits: dict[str, Commit] = {}

    async def fetch(self, revision: str) -> Commit:
        """Fetch and return the commit that a branch, tag or HEAD names now."""
        async with self._lock:
            # What polls cost when nothing was pushed: one question.
            refs = await self._git("ls-remote", self._url, bare=False)
            if refs == self._refs and revision in self._commits:
                return self._commits[revision]
            if not self._folder.exists():
                self._folder.parent.mkdir(parents=True, exist_ok=True)
                await self._git("init", "--quiet", "--bare", str(self._folder), bare=False)
            await self._git(
                "fetch", "--quiet", "--prune", "--force", "--no-auto-gc", self._url,
                "+refs/heads/*:refs/heads/*", "+refs/tags/*:refs/tags/*", "+HEAD:refs/twin/HEAD",
            )  # fmt: skip
            name = "refs/twin/HEAD" if revision == "HEAD" else revision
            text = await self._git("log", "-1", "--format=%H%n%B", name, "--")
            sha, _, message = text.decode(errors="replace").partition("\n")
            if refs != self._refs:
                self._refs, self._commits = refs, {}
            self._commits[revision] = Commit(sha, message.strip())
            return self._commits[revision]

    async def files(self, sha: str, app: Object) -> dict[str, bytes]:
        """The YAML and JSON files that an Application reads, by path, or what is made of them, by how it is."""
        source, path = app["spec"]["source"], app["spec"]["source"].get("path") or "."
        recurse = ["-r"] if (source.get("directory") or {}).get("recurse") else []
        folder = path.strip("/")
        where = [f"{folder}/"] if folder not in {"", "."} else []
        listed = await self._git("ls-tree", *recurse, "-z", "--name-only", sha, "--", *where)
        names = [name.decode() for name in listed.split(b"\0") if name]
        if not names:
            raise GitError(f"{path}: app path does not exist")
        wanted = [name for name in names if name.endswith((".yaml", ".yml", ".json"))]
        if any(Path(name).name in {"kustomization.yaml", "kustomization.yml"} for name in wanted):
            return {RENDERED: await self._kustomize(sha, folder)}
        if f"{folder}/{CHART}" in wanted:
            return {MADE: await self._helm(sha, folder, app)}
        return {name: await self._git("cat-file", "blob", f"{sha}:{name}") for name in wanted}

    async def _kustomize(self, sha: str, folder: str) -> bytes:
        return await _run(["kubectl", "kustomize", str(await self._tree(sha) / folder)], {})

    async def _helm(self, sha: str, folder: str, app: Object) -> bytes:
        """What helm makes of a chart with the values files, values and parameters that the Application gives it."""
        tree, said = await self._tree(sha), app["spec"]["source"].get("helm") or {}
        named = said.get("releaseName") or app["metadata"]["name"]
        words = ["helm", "template", named, str(tree / folder), "--include-crds"]
        words += ["--namespace", app["spec"]["destination"].get("namespace") or "default"]
        for file in said.get("valueFiles") or ():
            words += ["--values", str(tree / file[1:] if file.startswith("/") else tree / folder / file)]
        values = said.get("valuesObject") or yaml.safe_load(said.get("values") or "") or {}
        words += [w for key, value in values.items() for w in ("--set-json", f"{key}={json.dumps(value)}")]
        for one in said.get("parameters") or ():
            words += ["--set-string", f"{one['name']}={one['value']}"]
        return await _run(words, {})

    async def _tree(self, sha: str) -> Path:
        """The files of a commit."""
        tree = self._folder.with_suffix(".tree") / sha
        tree.mkdir(parents=True, exist_ok=True)
        await self._git(f"--work-tree={tree}", "checkout", "--quiet", "--force", sha, "--", ".")
        return tree

    async def _git(self, *arguments: str, bare: bool = True) -> bytes:
        place = [f"--git-dir={self._folder}"] if bare else []
        quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        return await _run(["git", "-c", "safe.directory=*", *place, *arguments], quiet)


async def _run(argv: list[str], env: Mapping[str, str]) -> bytes:
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            env={**os.environ, **env},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(TIMEOUT_S):
            out, err = await process.communicate()
    except FileNotFoundError as error:
        raise GitError(f"{argv[0]} is not installed") from error
    except TimeoutError as error:
        process.kill()
        raise GitError(f"{argv[0]} did not answer within {TIMEOUT_S:.0f} s") from error
    if process.returncode:
        raise GitError(err.decode(errors="replace").strip() or f"{argv[0]} failed")
    return out
