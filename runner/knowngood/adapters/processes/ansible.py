"""Playbooks as ports.nodes.NodeWork: ansible-runner in a process of its own, under the supervisor."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import knowngood
from knowngood.adapters.cluster import talos
from knowngood.adapters.movers.telling import PROGRESS
from knowngood.adapters.processes import supervisor
from knowngood.model.context import Window
from knowngood.model.errors import LockHeld, UsageError
from knowngood.model.jsonable import from_json, to_json
from knowngood.model.matrix import Cluster, Limits
from knowngood.model.mover import IN_TURNS, Again, Hold, Moving, Specs
from knowngood.model.node import NodeState
from knowngood.model.progress import Progress
from knowngood.model.values import Object
from knowngood.ports.cancel import Cancel
from knowngood.ports.nodes import NodeWork, Outcome
from knowngood.ports.observer import Observer

MARGIN_SECONDS = 60.0
"""On top of a verb's own limit, which its module keeps: Ansible's start, and a busy machine."""
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "SSL_CERT_FILE", "USER", talos.CONFIG)
"""All that Ansible sees of our environment: it writes it to a file, and ours may hold a Git token. Of Talos it is told
where the file is that says who may ask."""

CONFIG = "[defaults]\ninternal_poll_interval = 0.01\n"
"""What no variable can set: a playbook's main process looks for its task's end each 1 ms, unless told otherwise."""

UNSAFE = "__ansible_unsafe"
"""How Ansible's own JSON marks a text that is no template."""


@dataclass(frozen=True, slots=True)
class Played:
    """A playbook that came to its end: what its modules said, and why some said nothing."""

    private: Path
    heard: Heard
    trouble: str


class Playbooks:
    """The playbooks of one run, on one cluster.

    `folder` is the run's, `playbooks` where they lie. A role in `roles` takes the place of ours of the same name.
    """

    def __init__(
        self,
        cluster: Cluster,
        kubeconfig: Path,
        folder: Path,
        limits: Limits,
        observer: Observer,
        playbooks: Path,
        run: str,
        roles: Path | None = None,
    ) -> None:
        self._cluster = cluster
        self._kubeconfig = kubeconfig
        self._folder = folder
        self._limits = limits
        self._observer = observer
        self._playbooks = playbooks
        self._run = run
        self._roles = roles

    def play(
        self, verb: str, subject: str, more: Mapping[str, object], limit: float, cancel: Cancel
    ) -> Played:
        """Run one playbook to its end; `subject`: what it is about, for people. Interrupted, UsageError."""
        private = self._private(verb)
        variables = {"knowngood_run": self._run, "knowngood_limits": to_json(self._limits), **more}
        if self._roles:
            variables["knowngood_roles"] = str(self._roles.absolute())
        asked = {
            "private_data_dir": str(private),
            "playbook": str(self._playbooks.absolute() / f"{verb}.yml"),
            "extravars": {name: untemplated(value) for name, value in variables.items()},
            "envvars": self._settings(private),
        }
        heard = Heard(verb, self._observer, subject)
        completed = supervisor.run(
            [sys.executable, "-P", "-m", "knowngood.adapters.processes.ansible_child"],
            cwd=private,
            env=self._environment(private),
            deadline=limit + MARGIN_SECONDS,
            cancel=cancel,
            on_line=heard.line,
            stdin=json.dumps(asked).encode(),
            folder=self._folder,
        )
        cancel.check()
        return Played(private, heard, _trouble(completed, limit, heard))

    def _private(self, verb: str) -> Path:
        """A new folder of this playbook run, readable by us only."""
        root = self._folder.absolute() / "ansible"
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        numbers = [p.name.partition("-")[0] for p in root.iterdir()]
        number = 1 + max((int(n) for n in numbers if n.isdecimal()), default=0)
        private = root / f"{number:04d}-{verb}"
        private.mkdir(mode=0o700)
        return private

    def _settings(self, private: Path) -> dict[str, str]:
        """Ansible's settings, pinned: nothing of the user's ansible.cfg, home or working directory counts."""
        home = private / "home"
        (home / "tmp").mkdir(mode=0o700, parents=True)
        config = private / "ansible.cfg"
        config.write_text(CONFIG, encoding="utf-8")
        return {
            "ANSIBLE_CONFIG": str(config),
            "ANSIBLE_HOME": str(home),
            "ANSIBLE_COLLECTIONS_PATH": str(self._playbooks.absolute() / "collections"),
            "ANSIBLE_LOCAL_TEMP": str(home / "tmp"),
            "ANSIBLE_REMOTE_TEMP": str(home / "tmp"),
            "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_FORKS": "1",
            "ANSIBLE_STRATEGY": "linear",
            "ANSIBLE_GATHERING": "explicit",
            "ANSIBLE_INVENTORY_ENABLED": "host_list",  # there is one host, this one; each kind more costs a start more
            "ANSIBLE_VARS_ENABLED": "",
            "ANSIBLE_NOCOWS": "true",
            "ANSIBLE_RETRY_FILES_ENABLED": "false",
            "ANSIBLE_DEPRECATION_WARNINGS": "false",
            "ANSIBLE_LOCALHOST_WARNING": "false",
            "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
            "ANSIBLE_NOCOLOR": "true",
        }

    def _environment(self, private: Path) -> dict[str, str]:
        passed = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        if named := passed.get(talos.CONFIG):
            passed[talos.CONFIG] = str(Path(named).absolute())  # a playbook runs in a folder of its own
        tools = str(Path(sys.executable).parent)  # ansible-playbook lies beside the interpreter
        return {
            **passed,
            "PATH": os.pathsep.join(filter(None, (tools, passed.get("PATH", os.defpath)))),
            "PYTHONPATH": str(Path(str(knowngood.__file__)).parents[1]),
            "KUBECONFIG": str(self._kubeconfig.absolute()),
            "TMPDIR": str(private / "home" / "tmp"),  # what a killed module leaves stays in the run's folder
            PROGRESS: str(private / "progress"),
        }


class AnsibleNodeWork(Playbooks, NodeWork):
    """What is done to nodes."""

    def claim(self, nodes: Sequence[str], fence: str, cancel: Cancel, *, hold: Hold, specs: Specs) -> Outcome:
        """See the port. UsageError for a hold by the taint alone, which no class asks for yet."""
        if hold is not Hold.CORDON:
            raise UsageError(f"nodes can't be held by {hold} yet", hint="see the mover of what is moved")
        more = {"knowngood_movers": to_json(specs)}
        return self._play("claim", list(nodes), fence, self._limits.claim, cancel, more)

    def drain(
        self, nodes: Sequence[str], fence: str, cancel: Cancel, *, users: Collection[str], keep: bool = False
    ) -> Outcome:
        """See the port."""
        more = {"knowngood_users": list(users), "knowngood_keep": keep}
        return self._play("drain", list(nodes), fence, self._limits.drain, cancel, more)

    def apply(self, nodes: Sequence[str], fence: str, moves: Sequence[Moving], cancel: Cancel) -> Outcome:
        """See the port: one role, that of the class whose turn is first."""
        turns = len(nodes) if any(m.spec.kind in IN_TURNS for m in moves) else 1
        return self._play("apply", list(nodes), fence, self._limits.apply * turns, cancel, _moved(moves))

    def load_again(
        self,
        nodes: Sequence[str],
        fence: str,
        moves: Sequence[Moving],
        cancel: Cancel,
        *,
        how: Again,
        since: Mapping[str, Window],
    ) -> Outcome:
        """See the port: the first role that can load anew, told since when each node's load does not count any more."""
        loads = [moving for moving in moves if moving.spec.reloads]
        if how is not Again.RELOAD or not loads:
            raise UsageError(f"no class of what moves can {how} a node where nothing is to be changed")
        more = {
            **_moved(moves),
            "knowngood_mover": _first(loads),
            "knowngood_since": {node: to_json(since[node]) for node in nodes},
        }
        return self._play("apply", list(nodes), fence, self._limits.apply, cancel, more)

    def release(self, nodes: Sequence[str], fence: str, cancel: Cancel) -> Outcome:
        """See the port."""
        return self._play("release", list(nodes), fence, self._limits.release, cancel)

    def quarantine(self, nodes: Mapping[str, str], fence: str, cancel: Cancel) -> Outcome:
        """See the port."""
        return self._play("quarantine", dict(nodes), fence, self._limits.release, cancel)

    def _play(
        self,
        verb: str,
        nodes: list[str] | dict[str, str],
        fence: str,
        limit: float,
        cancel: Cancel,
        more: Mapping[str, object] | None = None,
    ) -> Outcome:
        """Run one playbook to its end and fold what its module returned. Interrupted, LockHeld, UsageError."""
        cancel.check()
        if not nodes:
            return Outcome()
        variables = {
            "knowngood_nodes": nodes,
            "knowngood_fence": fence,
            "knowngood_cluster": {
                "operatorNamespace": self._cluster.operator_namespace,
                "namespaces": dict(self._cluster.namespaces),
                "tenants": self._cluster.raw.get("tenants") or _tenants(self._cluster),
                **_bmcs(self._cluster),
            },
            **(more or {}),
        }
        played = self.play(verb, ", ".join(nodes), variables, limit, cancel)
        private, heard = played.private, played.heard
        outcome = heard.outcome(list(nodes), played.trouble)
        kept = {**to_json(outcome), "calls": heard.calls}
        (private / "outcome.json").write_text(json.dumps(kept, indent=1), encoding="utf-8")
        if heard.lost and set(heard.lost) == set(nodes):
            raise LockHeld(
                f"{verb}: another runner has claimed {', '.join(nodes)}: {outcome.failed[heard.lost[0]]}",
                hint="knowngood status shows who holds the cluster",
            )
        artifacts = {"ansible": str(private.relative_to(self._folder.absolute()))}
        return replace(outcome, artifacts=artifacts)


def untemplated(value: Any) -> Any:
    """The same value, each text in it marked so that Ansible hands it over as it is. UsageError.

    Ansible runs every extra variable through Jinja, which can run commands here. What we pass is partly other
    people's: a reason quotes commit subjects, kernel lines and the words of Argo CD and Helm.
    """
    if isinstance(value, str):
        return {UNSAFE: value.encode("utf-8", "replace").decode()}  # half a surrogate pair would end Ansible
    if isinstance(value, Mapping):
        for key in value:
            # Ansible takes no key for a template, but such a one makes it read the whole again without our marks.
            if str(key).startswith("__ansible"):
                raise UsageError(f"{key!r} is a word of Ansible's own and can't be a key")
        return {str(key): untemplated(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [untemplated(inner) for inner in value]
    return value


def _moved(moves: Sequence[Moving]) -> dict[str, object]:
    """What a role is told of moves: that of the class whose turn is first on a node, since the others wait for it.

    UsageError where nothing moves.
    """
    if not moves:
        raise UsageError("nothing moves, so no role can move it")
    return {
        "knowngood_mover": _first(moves),
        "knowngood_expect": {moving.component: moving.after for moving in moves},
        "knowngood_movers": {moving.component: to_json(moving.spec) for moving in moves},
        "knowngood_objects": {m.component: to_json(m.declared_by) or {} for m in moves},
    }


def _first(moves: Sequence[Moving]) -> str:
    return min(moves, key=lambda moving: moving.spec.order).spec.kind


def _tenants(cluster: Cluster) -> list[Object]:
    return [
        {"name": t.name, "namespaces": list(t.namespaces), "evictionDeadlineSeconds": t.eviction_deadline}
        for t in cluster.tenants
    ]


def _bmcs(cluster: Cluster) -> dict[str, object]:
    """Where the machines' BMCs are, for a module that runs in another folder: where secrets lie, not what they are."""
    if not cluster.bmcs.at:
        return {}
    kind, _, name = cluster.bmcs.credentials.partition(":")
    where = f"{kind}:{Path(name).absolute()}" if kind == "file" else cluster.bmcs.credentials
    ca = str(Path(cluster.bmcs.ca).absolute()) if cluster.bmcs.ca else ""
    return {
        "bmcs": to_json(replace(cluster.bmcs, credentials=where, ca=ca)),
        "machines": list(cluster.gpu),
    }


@dataclass(slots=True)
class Heard:
    """What the child's lines amount to."""

    verb: str
    observer: Observer
    subject: str
    results: list[Object] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    finished: bool = False
    broken: bool = False

    def line(self, text: str) -> None:
        """Take one line; what is not ours is kept as words for a failure's message."""
        try:
            event = json.loads(text)
            kind = event["event"]
        except (ValueError, KeyError, TypeError):
            self.words.append(text[:500])
            return
        if kind == "progress":
            self.observer.progress(Progress(self.verb, self.verb, event["node"], event["text"]))
        elif kind == "task":
            self.observer.progress(Progress(self.verb, self.verb, self.subject, str(event["name"])))
        elif kind == "result":
            self.results.append(event)
            if event["failed"] and "knowngood" not in event["res"]:
                self.broken = True
                self.words.append(str(event["res"].get("msg", ""))[:500])
        elif kind == "words":
            self.words.append(str(event["text"])[:500])
        elif kind == "finish":
            self.finished = True

    @property
    def calls(self) -> int:
        """Kubernetes API requests that the modules sent."""
        return sum(int(answer.get("calls") or 0) for answer in self.answers())

    @property
    def lost(self) -> list[str]:
        """The nodes whose claim was found to be a newer Lease's."""
        return [node for result in self.answers() for node in result.get("lost", ())]

    def answers(self) -> list[Object]:
        """What our modules said, in order."""
        return [r["res"]["knowngood"] for r in self.results if isinstance(r["res"].get("knowngood"), dict)]

    def outcome(self, nodes: Sequence[str], trouble: str) -> Outcome:
        """Fold the modules' answers; a node without one could not be done because of `trouble`.

        Only the playbook's own verb says that a node is done, where it was not only tried: a team's own role may call
        others. Nor is one done whose playbook ended in `trouble` by a task that is not ours: such a role has more.
        """
        done: dict[str, None] = {}
        could_not: dict[str, None] = {}
        stripped: dict[str, None] = {}
        failed: dict[str, str] = {}
        given_back: dict[str, str] = {}
        detail: Object = {}
        seen: dict[str, NodeState] = {}
        for answer in self.answers():
            if answer.get("verb") == self.verb and not answer.get("dry_run"):
                done |= dict.fromkeys(answer.get("done") or ())
            failed |= answer.get("failed") or {}
            given_back |= answer.get("given_back") or {}
            could_not |= dict.fromkeys(answer.get("could_not") or ())
            stripped |= dict.fromkeys(answer.get("stripped") or ())
            detail |= answer.get("detail") or {}
            seen |= {n: from_json(NodeState, state) for n, state in (answer.get("seen") or {}).items()}
        if self.broken and trouble:
            done.clear()
        for node in nodes:
            if node not in done and node not in failed and node not in given_back:
                failed[node] = trouble or "the playbook said nothing about it"
                could_not[node] = None
        gone = tuple(n for n in done if n not in failed)
        left = tuple(n for n in could_not if n in failed)
        return Outcome(gone, failed, given_back, detail, could_not=left, stripped=tuple(stripped), seen=seen)


def _trouble(completed: supervisor.Completed, limit: float, heard: Heard) -> str:
    """Why a playbook gave no answer."""
    if completed.timed_out:
        return f"the {heard.verb} playbook did not end within {limit + MARGIN_SECONDS:.0f} s"
    said = " | ".join([*heard.words[-5:], *completed.tail[-5:]])
    if not heard.finished or completed.code:
        return f"the {heard.verb} playbook ended with {completed.code}: {said or 'no word'}"[:800]
    return ""
