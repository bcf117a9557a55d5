"""The judge: gates run by pytest in a process of their own, hermetically and under the supervisor.

Nothing of the working directory, the user's site or the environment may change a verdict: no conftest.py, no ini
file, no PYTEST_* or PYTHON* variable, no plugin but ours, no cache.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import knowngood
from knowngood.adapters.cluster import spool
from knowngood.adapters.gitops.gate_suite import suite_of
from knowngood.adapters.judging import gate_events, probe_job
from knowngood.adapters.judging.probe_manifest import fabric_name, group_name
from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.processes import supervisor
from knowngood.model import names
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import KnowngoodError
from knowngood.model.evidence import GateSuite
from knowngood.model.hardware import Hardware
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.matrix import Cluster, Release
from knowngood.model.node import NodeState
from knowngood.model.progress import Progress
from knowngood.model.values import Object
from knowngood.model.verdict import Judgement
from knowngood.planner.gates import paired
from knowngood.ports.cancel import Cancel
from knowngood.ports.gates import Gates
from knowngood.ports.observer import Observer

SCHEMA = 1  # of context.json
SEEN = "seen.json"  # see knowngood.gate.context
PLUGIN = "knowngood.gate.plugin"
UNUSED = ("-p", "no:doctest", "-p", "no:legacypath", "-p", "no:unraisableexception")
"""Of pytest's own plugins those that no gate needs and that cost: two to import, the third collects all garbage."""
CLEAN_UP_PATIENCE = 10.0


class PytestGates(Gates):
    """Judges one cluster. `folder` is the run's; `gates` holds the suites; `release` None: as it is.

    `own`: a team's folder, for gates that are not in ours. One of our name there is not read.
    """

    def __init__(
        self,
        cluster: Cluster,
        hardware: Hardware,
        release: Release | None,
        kubeconfig: Path | None,
        folder: Path,
        gates: Path,
        observer: Observer | None = None,
        own: Path | None = None,
    ) -> None:
        self._own = own
        self._cluster = cluster
        self._hardware = hardware
        self._release = release
        self._kubeconfig = kubeconfig
        self._folder = folder
        self._gates = gates.resolve()
        self._observer = observer

    def suite(self) -> GateSuite:
        """The files that judge, as they are now."""
        return suite_of(self._gates, self._own)

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        """Run the request's gates."""
        folder = self._new_folder(request.name)
        context, events = folder / "context.json", folder / "events.jsonl"
        context.write_text(json.dumps(self._context(request, folder), indent=1, sort_keys=True) + "\n")
        files = [file for gate in request.gates if (file := self._file(gate))]
        follower = _Follower(events, request.name, self._observer)
        done = supervisor.run(
            [*_pytest(self._gates, folder), *map(str, files)] if files else [sys.executable, "-I", "-c", ""],
            cwd=folder,
            env=environment(os.environ, self._cluster.gitops.credentials),
            deadline=self._seconds(request),
            cancel=cancel,
            on_line=follower.line,
            folder=self._folder,
        )
        (folder / "stderr.txt").write_text("\n".join(done.tail))
        said = gate_events.read(events)
        follower.line("")
        if said.exitstatus is None:
            self._clear_away(request)
        (self._folder / spool.FILE).unlink(missing_ok=True)  # whoever judges next looks anew
        cancel.check()
        seen = _seen(folder / SEEN)
        told = gate_events.judgement(
            request, said, done.code, self._trouble(request, done, files), self._artifacts(folder)
        )
        return replace(told, seen=seen)

    def _seconds(self, request: JudgeRequest) -> float:
        """How long a judgement may take in all: where a probe computes, its image may have to be pulled first."""
        kinds = {p.gates.get(gate, {}).get("kind") for p in self._hardware.profiles for gate in request.gates}
        return request.deadline + (self._cluster.limits.image_pull if "active" in kinds else 0.0)

    def _file(self, gate: str) -> Path | None:
        """The gate's file: ours, or else the team's own."""
        places = (folder / f"{gate}.py" for folder in (self._gates, self._own) if folder)
        return next((file.resolve() for file in places if file.is_file()), None)

    def _context(self, request: JudgeRequest, folder: Path) -> Object:
        return {
            "schema": SCHEMA,
            "request": to_json(request),
            "cluster": to_json(self._cluster),
            "hardware": to_json(self._hardware),
            "release": to_json(self._release),
            "kubeconfig": str(self._kubeconfig.absolute()) if self._kubeconfig else "",
            "folder": str(folder),
            "first_look": str((self._folder / spool.FILE).absolute()) if request.begun else "",
            "namespace": names.NAMESPACE,
        }

    def _new_folder(self, name: str) -> Path:
        """A judgement repeated by `resume` gets a folder of its own: the first one's words are kept."""
        base = (self._folder / "gates" / name.replace("/", "-")).absolute()
        folder, number = base, 1
        while folder.exists():
            number += 1
            folder = base.with_name(f"{base.name}.{number}")
        folder.mkdir(parents=True)
        return folder

    def _trouble(self, request: JudgeRequest, done: supervisor.Completed, files: list[Path]) -> str:
        if done.timed_out:
            return f"the gates did not end within {self._seconds(request):.0f} s"
        if not files:
            return f"none of the gates {', '.join(request.gates)} is in {self._gates}"
        return ""

    def _artifacts(self, folder: Path) -> Mapping[str, str]:
        root = self._folder.absolute()
        return {f.name: str(f.relative_to(root)) for f in sorted(folder.iterdir()) if f.is_file()}

    def _clear_away(self, request: JudgeRequest) -> None:
        """A killed session could not delete its probes' Jobs. Kubernetes would, later: this is only sooner."""
        group, meeting = (group_name(request.run, name) for name in (request.name, fabric_name(request.name)))
        try:
            kube = Kube(self._kubeconfig, patience=CLEAN_UP_PATIENCE)
            probe_job.remove(kube, names.NAMESPACE, group, Cancel())
            if paired(self._hardware) & {*request.gates}:
                probe_job.remove(kube, names.NAMESPACE, meeting, Cancel(), together=True)
        except KnowngoodError:
            return  # the cluster does not answer; the Jobs end at their own deadline


def _seen(path: Path) -> dict[str, NodeState]:
    """The nodes as the session looked at them; none where it did not, or was killed on the way."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        path.unlink()  # the engine keeps what it needs
        return {name: from_json(NodeState, state) for name, state in found.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def environment(present: Mapping[str, str], credentials: str) -> dict[str, str]:
    """The gates' environment: ours, without what steers Python or pytest and without the Git credentials."""
    kind, _, secret = credentials.partition(":")
    kept = {
        name: value
        for name, value in present.items()
        if not name.startswith(("PYTEST", "PYTHON", "PY_COLORS")) and not (kind == "env" and name == secret)
    }
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "LC_ALL": "C.UTF-8"}


def _pytest(gates: Path, folder: Path) -> list[str]:
    session = Path(knowngood.__path__[0]) / "gate" / "session.py"
    return [
        *(sys.executable, "-I", "-B", str(session)),
        *("-c", os.devnull, "--rootdir", str(gates), "--confcutdir", str(gates), "--noconftest"),
        *("--import-mode=importlib", "--continue-on-collection-errors", "--verbose", "--tb=short"),
        *("-p", "no:cacheprovider", *UNUSED, "-p", PLUGIN),
        *("-o", "junit_family=xunit2", f"--junitxml={folder / 'junit.xml'}"),
        *("--knowngood-context", str(folder / "context.json")),
        *("--knowngood-events", str(folder / "events.jsonl")),
    ]


class _Follower:
    """Tells the observer of results as they come: pytest prints a line for each test, the events say what."""

    def __init__(self, path: Path, step: str, observer: Observer | None) -> None:
        self._path = path
        self._step = step
        self._observer = observer
        self._offset = 0

    def line(self, _text: str) -> None:
        """Pytest said something: look for new events."""
        if self._observer is None or not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            data = file.read()
        whole, newline, _ = data.rpartition(b"\n")
        self._offset += len(whole) + len(newline)
        for raw in whole.splitlines():
            self._tell(raw)

    def _tell(self, raw: bytes) -> None:
        try:
            event = json.loads(raw)
            if event["event"] == "result" and self._observer is not None:
                words = event["verdict"] + (f": {event['reason']}" if event["reason"] else "")
                subject = f"{event['gate']} {event['node']}".strip()
                self._observer.progress(Progress(self._step, "gate", subject, words))
        except (ValueError, KeyError, TypeError):
            return  # read again, and judged, when the session has ended
