"""The probes of a judgement: one Job a node, one JSON document a payload; all gone when they have answered."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from knowngood.adapters.clock import SystemClock
from knowngood.adapters.judging import gang
from knowngood.adapters.judging.probe_manifest import (
    DELETED_WITHIN,
    NODE_ANNOTATION,
    PART_LABEL,
    PROBE_LABEL,
    Order,
    job_name,
    manifest,
)
from knowngood.adapters.judging.probe_words import (
    ENDED,
    completed,
    document,
    hopeless,
    last_words,
    phase_of,
    pulls,
    why,
)
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.adapters.waiting import with_hands, working
from knowngood.model.errors import DeadlineExceeded, Inconclusive, KnowngoodError
from knowngood.model.values import Values
from knowngood.ports.cancel import Cancel

AT_A_TIME = 50
"""Probes on their way at once. Each is a pod to place and perhaps an image to pull: fifty keep one list of them below
300 KB and a mirror busy but not swamped; a thousand nodes that answer in 6 s are through in two minutes."""
STARTED_WITHIN = 120.0
"""Seconds after which a pod that has not started keeps no other node waiting, and is given up if nothing but
somebody's help could start it: no room, no image."""
HANDS = 8
"""Logs read at the same time."""
LOG_PATIENCE, MOST_LOG = 5.0, 8 * 1024 * 1024
"""Seconds for a kubelet that is busy, and bytes of a log: a probe's is a few KB."""
_UNKNOWN = ""  # the node of a Job that does not say which it was meant for


@dataclass(frozen=True, slots=True)
class Answers:
    """By node: its document, why there is none, and why its Job could not be cleared away."""

    documents: Mapping[str, Values]
    missing: Mapping[str, str] = field(default_factory=dict)
    leftover: Mapping[str, str] = field(default_factory=dict)


def run(kube: Kube, order: Order, cancel: Cancel) -> Answers:
    """Probe every node and take the answers; the Jobs are deleted, and that is verified, whatever happened.

    A node without an answer is in `missing`, with what happened to its pod; one whose older probe does not go is not
    probed again. Raises Interrupted when `cancel` is set, and KnowngoodError where the API server takes no Job at all.
    """
    if not order.nodes:
        return Answers({})
    stuck = _cleared(kube, order.namespace, order.group, cancel, together=order.together)
    if _UNKNOWN in stuck:
        raise Inconclusive(f"older probe Jobs can't be deleted: {stuck[_UNKNOWN]}", where=order.group)
    round_ = _Round(kube, replace(order, nodes=tuple(n for n in order.nodes if n not in stuck)))
    try:
        round_.play(cancel)
    finally:
        leftover = _remove_quietly(kube, order, cancel)
    older = {node: f"no probe was sent: an older one is not gone: {words}" for node, words in stuck.items()}
    return Answers(round_.documents, {**round_.missing, **older}, leftover)


def remove(kube: Kube, namespace: str, group: str, cancel: Cancel, *, together: bool = False) -> str:
    """Delete a judgement's Jobs and wait until they and their pods are gone; returns what is left, "" if nothing.

    `together`: and what probes that meet find each other by.
    """
    left = sorted(set(_cleared(kube, namespace, group, cancel, together=together).values()))
    return "; ".join(left[:3]) + (f"; and {len(left) - 3} more" if len(left) > 3 else "")


def _cleared(
    kube: Kube, namespace: str, group: str, cancel: Cancel, *, together: bool = False
) -> dict[str, str]:
    """Delete a judgement's Jobs, wait until they and their pods are gone; what is left, by the node it is meant for."""
    asked: set[str] = set()
    left: dict[str, str] = {}

    def gone() -> bool:
        jobs = _jobs(kube, namespace, group)
        if fresh := {j["metadata"]["uid"] for j in jobs} - asked:
            kube.delete_all(path("batch/v1", "jobs", "", namespace), f"{PROBE_LABEL}={group}")
            asked.update(fresh)
        left.clear()
        left.update(
            {_node_of(one): one["metadata"]["name"] for one in (*jobs, *_pods(kube, namespace, group))}
        )
        if together and (names := gang.left(kube, namespace, group)):
            left.setdefault(_UNKNOWN, ", ".join(names))
        return not left

    try:
        SystemClock().wait_for(
            gone, deadline=DELETED_WITHIN, what=f"deletion of Jobs {namespace}/{group}-*", cancel=cancel
        )
    except DeadlineExceeded as error:
        after = f"is still there {DELETED_WITHIN:.0f} s after its deletion"
        return {node: f"{namespace}/{name} {after}" for node, name in left.items()} or {_UNKNOWN: str(error)}
    return {}


@dataclass(slots=True)
class _Probe:
    """A Job on its way: its part, since when, on the monotonic clock, and whether its container runs.

    `pulled`: seconds for which it waited for its image alone.
    """

    part: int
    since: float
    running: bool = False
    pulled: float = 0.0
    _pulls: float | None = None  # since when it does now

    def sees(self, pod: Object | None) -> None:
        """Take note of how its pod is now."""
        now = time.monotonic()
        if self._pulls is not None:
            self.pulled += now - self._pulls
        self._pulls = now if pod is not None and pulls(pod) else None

    @property
    def seconds(self) -> float:
        """How long ago its Job was made."""
        return time.monotonic() - self.since

    @property
    def late(self) -> bool:
        """Whether it could have started by now."""
        return self.seconds > STARTED_WITHIN

    @property
    def keeps_others_waiting(self) -> bool:
        """Whether it counts among those on their way."""
        return self.running or not self.late


class _Round:
    """One judgement's probes, from the first Job to the last answer."""

    def __init__(self, kube: Kube, order: Order) -> None:
        self._kube = kube
        self._order = order
        self._at_once = len(order.nodes) if order.together else AT_A_TIME
        self._waiting = deque((node, at // self._at_once) for at, node in enumerate(order.nodes))
        self._live: dict[str, _Probe] = {}
        self._pulled = 0.0  # seconds for which the slowest of them waited for its image alone
        self.documents: dict[str, Values] = {}
        self.missing: dict[str, str] = {}

    def play(self, cancel: Cancel) -> None:
        """Probe all nodes; who has not answered by the deadline has not answered."""
        what, order = f"probes {self._order.group}", self._order
        ends = time.monotonic() + order.deadline

        def over() -> bool:
            if (answered := self._turn()) or time.monotonic() < ends + min(self._pulled, order.pull):
                return answered
            raise DeadlineExceeded(what)

        try:
            SystemClock().wait_for(over, deadline=order.deadline + order.pull, what=what, cancel=cancel)
        except DeadlineExceeded:
            self._give_up()

    def _turn(self) -> bool:
        with working():
            self._top_up()
        if self._live:
            self._look()
        return not self._live and not self._waiting

    def _top_up(self) -> None:
        while self._waiting and sum(p.keeps_others_waiting for p in self._live.values()) < self._at_once:
            node, part = self._waiting.popleft()
            began = time.monotonic()
            try:
                self._create(node, part)
                self._live[node] = _Probe(part, began)
            except ApiError as error:
                self.missing[node] = f"no probe was sent: {error}"

    def _create(self, node: str, part: int) -> None:
        """Make a node's Job."""
        place = self._order.namespace
        try:
            job = self._kube.create(path("batch/v1", "jobs", "", place), manifest(self._order, node, part))
            if self._order.together and node == self._order.nodes[0]:
                gang.make(self._kube, self._order, job)
        except ApiError as error:
            if error.missing:
                raise Inconclusive(
                    f"namespace {place} is missing on this cluster", hint="kubectl apply -k deploy/base"
                ) from error
            if error.code != 409:  # 409: our own create, whose answer was lost
                raise

    def _look(self) -> None:
        """Take the answers of those that have ended, and leave those that can't start."""
        pods = self._seen()
        jobs = self._jobs_without_pod(pods)
        ended = []
        for node, probe in list(self._live.items()):
            pod, job = pods.get(node), jobs.get(node)
            phase = phase_of(pod) if pod else ""
            probe.running = phase == "Running"
            probe.sees(pod)
            self._pulled = max(self._pulled, probe.pulled)
            if pod and phase in ENDED:
                ended.append((node, pod))
            elif _lost(job) if pod is None else (probe.late and not probe.running and hopeless(pod)):
                self._miss(node, pod, job)
        with working():
            self._collect(ended)
            self._clear(self._over())

    def _seen(self) -> dict[str, Object]:
        """The pods by the node they are meant for."""
        found = _pods(self._kube, self._order.namespace, self._order.group)
        return {_node_of(pod): pod for pod in found}

    def _jobs_without_pod(self, pods: Mapping[str, Object]) -> dict[str, Object | None]:
        """The Jobs of nodes that have no pod, asked for only where there are such; None: the Job is gone, too."""
        without = [node for node in self._live if node not in pods]
        if not without:
            return {}
        found = {
            j["metadata"]["name"]: j for j in _jobs(self._kube, self._order.namespace, self._order.group)
        }
        return {node: found.get(job_name(self._order.group, node)) for node in without}

    def _miss(self, node: str, pod: Object | None, job: Object | None) -> None:
        self.missing[node] = why(pod, job, self._live[node].seconds)

    def _collect(self, ended: Sequence[tuple[str, Object]]) -> None:
        """Take what the probes of these pods have said, and of what they have not said, why."""

        def answer(one: tuple[str, Object]) -> Values | str:
            node, pod = one
            became = why(pod, None, self._live[node].seconds)
            with suppress(ValueError):
                found = document(last_words(pod), node)
                if found["results"].keys() >= {*self._order.payloads}:
                    return found
            try:
                return completed(document(self._log(pod), node), self._order.payloads, became)
            except (KnowngoodError, ValueError) as error:
                unread = f"the probe's answer can't be read: {error}"
                return unread if phase_of(pod) == "Succeeded" else f"{became} ({unread})"

        for (node, _), found in zip(ended, with_hands(answer, ended, HANDS), strict=True):
            if isinstance(found, str):
                self.missing[node] = found
            else:
                self.documents[node] = found

    def _log(self, pod: Object) -> str:
        where = path("v1", "pods", pod["metadata"]["name"], self._order.namespace, "log")
        return self._kube.text(where, busy=LOG_PATIENCE, container="probe", limitBytes=str(MOST_LOG))

    def _over(self) -> set[int]:
        """Take those that have answered or were left from the live ones; the parts of which all are over then."""
        over = [node for node in self._live if node in self.documents or node in self.missing]
        parts = {self._live.pop(node).part for node in over}
        going_on = {p.part for p in self._live.values()} | {part for _, part in self._waiting}
        # The last ones go with all that is left.
        return parts - going_on if self._live or self._waiting else set()

    def _clear(self, parts: Iterable[int]) -> None:
        """Ask for the deletion of parts; `remove` verifies it."""
        for part in parts:
            labels = f"{PROBE_LABEL}={self._order.group},{PART_LABEL}={part}"
            self._kube.delete_all(path("batch/v1", "jobs", "", self._order.namespace), labels)

    def _give_up(self) -> None:
        """The deadline: say of each node without an answer what its pod was doing, or that its turn never came."""
        pods = self._seen() if self._live else {}
        jobs = self._jobs_without_pod(pods)
        running = [(node, pods[node]) for node in self._live if phase_of(pods.get(node) or {}) == "Running"]
        for node in self._live.keys() - dict(running):
            self._miss(node, pods.get(node), jobs.get(node))
        with working():
            self._collect(running)  # what payloads have said before the one that hangs
        for node, _ in self._waiting:
            self.missing[node] = (
                f"no probe was sent: the {self._order.deadline:.0f} s for all {len(self._order.nodes)} nodes"
                " were over before its turn"
            )


def _lost(job: Object | None) -> bool:
    """Whether no pod will come of a Job that has none."""
    conditions = ((job or {}).get("status") or {}).get("conditions") or ()
    return job is None or any(c.get("type") == "Failed" and c.get("status") == "True" for c in conditions)


def _jobs(kube: Kube, namespace: str, group: str) -> list[Object]:
    return kube.list(path("batch/v1", "jobs", "", namespace), labels=f"{PROBE_LABEL}={group}")


def _pods(kube: Kube, namespace: str, group: str) -> list[Object]:
    return kube.list(path("v1", "pods", "", namespace), labels=f"{PROBE_LABEL}={group}")


def _node_of(made: Object) -> str:
    """The node that a Job or a pod is meant for."""
    return str((made["metadata"].get("annotations") or {}).get(NODE_ANNOTATION, _UNKNOWN))


def _remove_quietly(kube: Kube, order: Order, cancel: Cancel) -> dict[str, str]:
    try:
        # Not the caller's cancel: what was started is cleared away also when the judgement is called off.
        patience = Cancel() if cancel.is_set() else cancel
        return _cleared(kube, order.namespace, order.group, patience, together=order.together)
    except KnowngoodError as error:
        return dict.fromkeys(order.nodes, str(error))
