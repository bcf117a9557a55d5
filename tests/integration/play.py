"""A rehearsal's stage for tests: a real twin, a real GitOps repository, and `knowngood` as a process of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from knowngood.adapters.kubernetes.client import Kube, path
from knowngood.adapters.stage import Stage
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.planner.gates import paired
from knowngood.ports.cancel import Cancel
from knowngood.rehearsal import compress, firmware
from knowngood.rehearsal.at_rest import AtRest
from knowngood.rehearsal.gitops import files
from knowngood.rehearsal.seed import seed

SCALE = 60.0
SOAK_SECONDS = 1
RUN_DEADLINE = 280.0  # seconds; a run on the small cluster takes 20 to 60
T = TypeVar("T")
KNOWNGOOD = (sys.executable, "-c", "from knowngood.cli.main import main; main()")


@dataclass(frozen=True)
class Ended:
    """A finished `knowngood`: exit code, its streams, and the result it printed as JSON (if it did)."""

    code: int
    stdout: str
    stderr: str

    @property
    def result(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.stdout)
        return found


@dataclass
class Play:
    """One stage, and what to ask of it."""

    stage: Stage
    cluster: str

    def knowngood(self, *arguments: str, deadline: float = RUN_DEADLINE) -> Ended:
        """Run a command to its end."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.stage.folder,
            env={**environment(), **self.stage.programs},
            capture_output=True,
            text=True,
            timeout=deadline,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def command(self, *arguments: str) -> list[str]:
        """The command line of `knowngood` on this stage."""
        where = [
            "--matrix",
            self.stage.matrix,
            "--kubeconfig",
            self.stage.kubeconfig,
            "--runs-dir",
            self.stage.runs,
        ]
        return [*KNOWNGOOD, *map(str, where), *arguments]

    def upgrade(self, to: str) -> Ended:
        """Move the cluster, with the result as JSON."""
        return self.knowngood("upgrade", self.cluster, "--to", to, "--yes", "--output", "json")

    def oracle(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Ask the twin's oracle."""
        return subprocess.run(
            [sys.executable, "-m", "knowngood.twin", "oracle", *arguments],
            cwd=self.stage.folder,
            env={**environment(), **self.stage.programs},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def snapshot(self, name: str) -> Path:
        """Write down what the cluster is now."""
        out = self.stage.folder / f"{name}.json"
        done = self.oracle(
            "snapshot",
            "--kubeconfig",
            str(self.stage.kubeconfig),
            "--state",
            str(self.stage.state),
            "--out",
            str(out),
        )
        assert done.returncode == 0, done.stderr
        return out

    def differences(self, before: Path) -> str:
        """What the oracle finds different from before; "" for nothing."""
        done = self.oracle("compare", str(before), str(self.snapshot("after")))
        return "" if done.returncode == 0 else done.stdout + done.stderr

    def events(self) -> list[dict[str, Any]]:
        """The twin's event log."""
        return [json.loads(line) for line in (self.stage.state / "events.jsonl").read_text().splitlines()]

    def drivers(self) -> dict[str, list[str]]:
        """Node -> driver versions loaded, in order, by the twin's event log."""
        loaded: dict[str, list[str]] = {}
        for event in self.events():
            if event["event"] == "module-loaded" and event["module"] == "nvidia":
                loaded.setdefault(event["node"], []).append(event["version"])
        return loaded

    def given_back(self, node: str) -> list[str]:
        """The driver a node ran each time we took our cordon off it."""
        version, found = "", []
        for event in (e for e in self.events() if e["node"] == node):
            if event["event"] == "module-loaded" and event["module"] == "nvidia":
                version = event["version"]
            if event["event"] == "uncordoned" and is_ours(event["by"]):
                found.append(version)
        return found

    def hits(self, fault: str) -> list[dict[str, Any]]:
        """Where a fault struck, by the twin's event log."""
        return [e for e in self.events() if e["event"] == "fault-hit" and e["fault"] == fault]

    def writes(self) -> list[dict[str, Any]]:
        """What the program wrote through the API server, in order, by the twin's audit log."""
        lines = (self.stage.state / "audit.jsonl").read_text().splitlines()
        return [write for write in map(json.loads, lines) if is_ours(write["userAgent"])]

    def audit(self) -> list[dict[str, Any]]:
        """Every write that the API server accepted since the cluster had settled."""
        settled = next(e["time"] for e in self.events() if e["event"] == "settled")
        lines = (self.stage.state / "audit.jsonl").read_text().splitlines()
        return [r for r in map(json.loads, lines) if r["time"] > settled]

    def git(self, *arguments: str) -> str:
        """Ask the GitOps repository."""
        done = subprocess.run(
            ["git", "-C", str(self.stage.repo), *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout

    def commits(self) -> list[str]:
        """Subjects of the GitOps branch, newest first."""
        return self.git("log", "--format=%s").splitlines()

    def run_id(self) -> str:
        """The only run's id."""
        return next(self.stage.runs.iterdir()).name

    def records(self) -> list[dict[str, Any]]:
        """The only run's journal so far; a line being written is left out."""
        found = list(self.stage.runs.glob("*/journal.jsonl"))
        lines = found[0].read_text().split("\n")[:-1] if found else []
        return [json.loads(line) for line in lines]

    def intended(self, step: str) -> bool:
        """Whether the only run has begun a step whose path ends so."""
        return any(r["type"] == "intent" and r["step"].endswith(f"/{step}") for r in self.records())

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A `knowngood` in the background, ended in any case."""
        with subprocess.Popen(
            self.command(*arguments),
            cwd=self.stage.folder,
            env={**environment(), **self.stage.programs},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGCONT)
                    process.kill()


def is_ours(agent: str) -> bool:
    """Whether a user agent is the program's: it also says which part asks, and whether it is waiting."""
    return agent.startswith("knowngood")


def explained(ended: Ended) -> str:
    """The run's own story, for a failing assertion."""
    return f"exit {ended.code}\n{ended.stderr[-6000:]}\n{ended.stdout[-1500:]}"


def environment() -> dict[str, str]:
    """Ours, with the package on the path."""
    package = str(Path(compress.__file__).parents[2])
    return {**os.environ, "PYTHONPATH": package}


def awaited(condition: Callable[[], T | None], what: str, deadline: float = 90.0) -> T:
    """The condition's answer once it is truthy; a failed test names what never came."""
    end = time.monotonic() + deadline
    while not (answer := condition()):
        assert time.monotonic() < end, f"{what} did not come in {deadline:.0f} s"
        time.sleep(0.02)
    return answer


@contextmanager
def staged(
    folder: Path,
    cluster: str,
    *options: str,
    limits: Mapping[str, float] | None = None,
    policy: str = "",
    patience: float = 0.0,
    source: Path | None = None,
    meets: bool = False,
) -> Iterator[Play]:
    """A settled twin of a shipped cluster; ended with all its processes afterwards. `options`: more for `twin up`.

    `limits` and `policy` (for `onWaveFailure`) replace what the cluster file says; `patience`: seconds that each
    tenant asks a drain to wait, instead of its own compressed ones. `source`: another matrix than ours.
    `meets`: whether nodes meet, too, in its runs; tests of other things have no use for it.
    """
    source = source or matrix_dir()
    matrix = load(source)
    found = matrix.clusters[cluster]
    rest = AtRest.of(matrix, found)
    stage = Stage(folder)
    played = firmware.named(rest, stage.state, stage.bmcs)
    values = compress.cluster_file(found, stage.repo_url, SCALE, played)
    values["limits"] = {**values["limits"], "soakSeconds": SOAK_SECONDS, **(limits or {})}
    for tenant in values["tenants"] if patience else ():
        tenant["evictionDeadlineSeconds"] = patience
    if policy:
        values["policy"] = {"onWaveFailure": policy}
    stage.build(
        source,
        {
            ("cluster", cluster): values,
            **{
                ("profile", one.name): compress.profile_file(
                    one, SCALE, () if meets else paired(rest.hardware)
                )
                for one in rest.hardware.profiles
            },
        },
        files(rest),
        seed(rest, stage.repo_url, stage.bmcs),
        found.gitops.branch,
    )
    try:
        stage.start(SCALE, Cancel(), *options)
        yield Play(stage, cluster)
    finally:
        stage.stop()


def with_a_tenant_on(play: Play, node: str) -> None:
    """See to it that a node of the small cluster has a pod with a budget to protect; the scheduler packs."""
    kube = Kube(play.stage.kubeconfig)
    other = next(n for n in ("lab-gpu-1", "lab-gpu-2") if n != node)

    def hubs() -> list[dict[str, Any]]:
        return [p for p in kube.list(path("v1", "pods", "", "notebooks")) if "hub" in p["metadata"]["name"]]

    def there() -> bool:
        return any(
            p["spec"].get("nodeName") == node and p["status"].get("phase") == "Running" for p in hubs()
        )

    if not there():
        later = path("v1", "nodes", other)
        kube.patch(later, [{"op": "add", "path": "/spec/unschedulable", "value": True}])
        pod = hubs()[0]["metadata"]
        kube.delete(path("v1", "pods", pod["name"], "notebooks"), uid=pod["uid"])
        awaited(there, f"a pod of the tenant on {node}")
        kube.patch(later, [{"op": "remove", "path": "/spec/unschedulable"}])
