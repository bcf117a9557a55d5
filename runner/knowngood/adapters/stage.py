"""The stage of a rehearsal: a folder with its own matrix, its own GitOps repository and a running twin.

<folder>/matrix/      the user's matrix, cluster file and profile rewritten; a Git repository of its own
<folder>/playbooks/   the user's own roles, where there are any
<folder>/gitops.git   what Argo CD holds (bare), one commit
<folder>/seed.json    what the twin starts with
<folder>/twin/        the twin's state;  twin.log: what it said
<folder>/kubeconfig   written by the twin when its cluster has settled
<folder>/runs/<run>/  the runs played on it
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from knowngood.adapters.cluster import talos
from knowngood.adapters.processes.git_command import GitCommand, GitFailed
from knowngood.adapters.processes.git_environment import identity, quiet_environment
from knowngood.matrix.locate import own_roles
from knowngood.model.errors import Inconclusive, UsageError
from knowngood.model.values import Object, Values
from knowngood.ports.cancel import Cancel

TWIN = (sys.executable, "-m", "knowngood.twin")
START_DEADLINE = 120.0
START_EACH = 0.5
"""Seconds the twin may take to settle, and more for each node; 5 to 15 were seen for ten nodes on two cores."""
STOP_DEADLINE = 15.0
ORACLE_DEADLINE = 60.0
TALOS = "talos"
"""In the twin's state: its talosctl, and who may ask."""


class Stage:
    """One rehearsal's folder. `twin` is its process once `start` was called; `stop` always ends it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._twin: subprocess.Popen[bytes] | None = None
        self._nodes = 0

    @property
    def matrix(self) -> Path:
        """The rehearsal's own matrix."""
        return self.folder / "matrix"

    @property
    def repo(self) -> Path:
        """The bare GitOps repository."""
        return self.folder / "gitops.git"

    @property
    def repo_url(self) -> str:
        """Where the cluster file and Argo CD read it."""
        return self.repo.as_uri()

    @property
    def state(self) -> Path:
        """The twin's state."""
        return self.folder / "twin"

    @cached_property
    def bmcs(self) -> int:
        """A port of this machine that nobody uses: the twin's BMCs listen there, where it plays any."""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            return int(free.getsockname()[1])

    @property
    def programs(self) -> dict[str, str]:
        """What a run here has in its environment beside ours: by it machines are the twin's, never real ones."""
        found = self.state / TALOS
        path = os.pathsep.join((str(found / "bin"), os.environ.get("PATH", os.defpath)))
        return {"PATH": path, talos.CONFIG: str(found / "talosconfig")}

    @contextmanager
    def lent(self) -> Iterator[None]:
        """That environment, as long as the block lasts."""
        before = {name: os.environ.get(name) for name in self.programs}
        os.environ.update(self.programs)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    os.environ.pop(name, None)
                else:
                    os.environ[name] = value

    @property
    def kubeconfig(self) -> Path:
        """How the twin is reached."""
        return self.folder / "kubeconfig"

    @property
    def runs(self) -> Path:
        """The runs played here."""
        return self.folder / "runs"

    def build(
        self,
        matrix: Path,
        rewritten: Mapping[tuple[str, str], Values],
        gitops: Mapping[str, Values],
        seed: Values,
        branch: str,
    ) -> None:
        """Lay the folder out; UsageError if there is something in it already.

        `rewritten`: what the matrix's files become here, by kind ("cluster", "profile") and name.
        """
        if self.folder.exists() and any(self.folder.iterdir()):
            raise UsageError(
                "the folder is not empty", where=str(self.folder), hint="name a new one with --dir"
            )
        self.runs.mkdir(parents=True)
        self._nodes = len(seed["nodes"])
        shutil.copytree(matrix, self.matrix, ignore=shutil.ignore_patterns(".git", "__pycache__"))
        roles, _ = own_roles(matrix)
        if roles.is_dir():
            shutil.copytree(roles, own_roles(self.matrix)[0])
        for (kind, name), values in rewritten.items():
            schema = f"# yaml-language-server: $schema=../schema/{kind}.json\n"
            (self.matrix / f"{kind}s" / f"{name}.yaml").write_text(schema + _yaml(values))
        commit_all(self.matrix / ".git", self.matrix, "main", "The matrix as it was when the rehearsal began")
        work = self.folder / "gitops-start"
        for path, value in gitops.items():
            target = work / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_yaml(value))
        commit_all(self.repo, work, branch, "The cluster at rest")
        shutil.rmtree(work)
        (self.folder / "seed.json").write_text(json.dumps(seed, indent=2) + "\n")

    def start(self, scale: float, cancel: Cancel, *options: str) -> None:
        """Start the twin and wait until its cluster has settled. Raises Inconclusive with its last words.

        `options`: more for `twin up`.
        """
        log = (self.folder / "twin.log").open("ab")
        arguments = ["up", "--seed", "seed.json", "--state", "twin", "--write-kubeconfig", "kubeconfig"]
        with log:
            self._twin = subprocess.Popen(
                [*TWIN, *arguments, "--time-scale", f"{scale:g}", *options],
                cwd=self.folder,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a Ctrl-C is for the run first; `stop` ends the twin
                preexec_fn=_end_with_parent,  # noqa: PLW1509 (one thread; calls one system call only)
            )
        patience = START_DEADLINE + START_EACH * self._nodes
        end = time.monotonic() + patience
        while not self.kubeconfig.exists():
            if self._twin.poll() is not None:
                raise Inconclusive(
                    f"the twin did not start: {self._last_words()}", where=str(self.folder / "twin.log")
                )
            if time.monotonic() > end:
                raise Inconclusive(
                    f"the twin did not settle in {patience:.0f} s: {self._last_words()}",
                    where=str(self.folder / "twin.log"),
                )
            cancel.wait(0.1)
            cancel.check()

    def stop(self) -> None:
        """End the twin and all that it started; does nothing when it does not run."""
        twin, self._twin = self._twin, None
        if twin is None or twin.poll() is not None:
            return
        twin.terminate()
        try:
            twin.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(twin.pid, signal.SIGKILL)
            twin.wait()

    def fault(self, name: str, node: str, params: Mapping[str, str] | None = None) -> None:
        """Inject a fault by name on a node."""
        more = [x for k, v in (params or {}).items() for x in ("--param", f"{k}={v}")]
        self._ask("fault", "add", name, "--node", node, "--kubeconfig", str(self.kubeconfig), *more)

    def snapshot(self, name: str) -> Path:
        """Let the oracle write down what the cluster is now, outside the program's own view."""
        out = self.folder / "oracle" / f"{name}.json"
        out.parent.mkdir(exist_ok=True)
        self._ask(
            *("oracle", "snapshot", "--kubeconfig", str(self.kubeconfig)),
            *("--state", str(self.state), "--out", str(out)),
        )
        return out

    def differences(self, before: Path, after: Path) -> tuple[str, ...]:
        """What the oracle finds different between two snapshots, one line each."""
        done = self._call("oracle", "compare", str(before), str(after), "--json")
        if done.returncode not in (0, 1):
            raise Inconclusive(f"twin oracle compare: {done.stderr.strip()}")
        return tuple(str(line) for line in json.loads(done.stdout)["differences"])

    def history(self) -> Object:
        """What each node lived through, by the twin's event log."""
        found: Object = json.loads(self._ask("oracle", "history", "--state", str(self.state), "--json"))
        return found

    def clear_faults(self) -> None:
        """Take all faults away."""
        self._ask("fault", "clear", "--kubeconfig", str(self.kubeconfig))

    def _ask(self, *arguments: str) -> str:
        """One call of the twin's command line; its stdout. Inconclusive when it fails."""
        done = self._call(*arguments)
        if done.returncode != 0:
            raise Inconclusive(
                f"twin {' '.join(arguments[:2])}: {done.stderr.strip() or done.stdout.strip()}"
            )
        return done.stdout

    def _call(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                [*TWIN, *arguments],
                cwd=self.folder,
                env=_environment(),
                capture_output=True,
                text=True,
                timeout=ORACLE_DEADLINE,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise Inconclusive(f"twin {arguments[0]} gave no answer in {ORACLE_DEADLINE:.0f} s") from error

    def _last_words(self) -> str:
        text = (self.folder / "twin.log").read_text(errors="replace").strip()
        return text.splitlines()[-1] if text else "it said nothing"


_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """In the child: ask Linux for a TERM when we are killed, so that no twin outlives its rehearsal."""
    if sys.platform == "linux":
        _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _environment() -> dict[str, str]:
    """Ours, with the package on the path whether it is installed or run from a checkout."""
    package_parent = str(Path(__file__).resolve().parents[2])
    return {**os.environ, "PYTHONPATH": package_parent}


def _yaml(value: Values) -> str:
    """Block YAML; text that looks like a number keeps quotes."""
    return yaml.safe_dump(_plain(value), sort_keys=False, default_flow_style=False, width=120)


def _plain(value: Any) -> Any:
    """Containers as the dumper wants them, each a new one: the same list twice would become an anchor."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value


def commit_all(git_dir: Path, work_tree: Path, branch: str, message: str) -> None:
    """Make the repository `git_dir` with one commit of everything in `work_tree`."""
    env = {
        **quiet_environment(),
        **identity(),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_DIR": str(git_dir),
        "GIT_WORK_TREE": str(work_tree),
        "GIT_INDEX_FILE": str(git_dir / "index"),
    }
    bare = git_dir.suffix == ".git"
    work_tree.mkdir(parents=True, exist_ok=True)
    plain = {k: v for k, v in env.items() if k not in ("GIT_WORK_TREE", "GIT_INDEX_FILE")}
    try:
        GitCommand(work_tree, plain).run("init", "-q", *(["--bare"] if bare else []), "-b", branch)
        git = GitCommand(work_tree, env)
        git.run("add", "-A")
        git.run("-c", "commit.gpgSign=false", "commit", "-q", "-m", message)
    except GitFailed as error:
        raise UsageError(f"the repository can't be laid out: {error}", where=str(git_dir)) from error
