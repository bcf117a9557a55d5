"""The probes of a judgement: one Job a node, one JSON document a Job; all gone when they have answered."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from knowngood.adapters.clock import SystemClock
from knowngood.adapters.judging.probe_manifest import (
    DELETED_WITHIN,
    NODE_ANNOTATION,
    PART_LABEL,
    PROBE_LABEL,
    Order,
    job_name,
    manifest,
)
from knowngood.adapters.judging.probe_words import ENDED, document, hopeless, last_words, phase_of, why
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


@dataclass(frozen=True, slots=True)
class Answers:
    """The documents by node, why there is none by node, and why Jobs could not be cleared away ("" if all were)."""

    documents: Mapping[str, Values]
    missing: Mapping[str, str] = field(default_factory=dict)
    leftover: str = ""


def run(kube: Kube, order: Order, cancel: Cancel) -> Answers:
    """Probe every node and take the answers; the Jobs are deleted, and that is verified, whatever happened.

    A node without an answer is in `missing`, with what happened to its pod. Raises Interrupted when `cancel` is set,
    and KnowngoodError where the API server takes no Job at all.
    """
    if not order.nodes:
        return Answers({})
    left = remove(kube, order.namespace, order.group, cancel)
    if left:
        raise Inconclusive(f"older probe Jobs can't be deleted: {left}", where=order.group)
    round_ = _Round(kube, order)
    try:
        round_.play(cancel)
    finally:
        leftover = _remove_quietly(kube, order, cancel)
    return Answers(round_.documents, round_.missing, leftover)


def remove(kube: Kube, namespace: str, group: str, cancel: Cancel) -> str:
    """Delete a judgement's Jobs and wait until they and their pods are gone; returns what is left, "" if nothing."""
    asked: set[str] = set()

    def gone() -> bool:
        jobs = _jobs(kube, namespace, group)
        if fresh := {j["metadata"]["uid"] for j in jobs} - asked:
            kube.delete_all(path("batch/v1", "jobs", "", namespace), f"{PROBE_LABEL}={group}")
            asked.update(fresh)
        return not jobs and not _pods(kube, namespace, group)

    try:
        SystemClock().wait_for(
            gone, deadline=DELETED_WITHIN, what=f"deletion of Jobs {namespace}/{group}-*", cancel=cancel
        )
    except DeadlineExceeded as error:
        return str(error)
    return ""


@dataclass(slots=True)
class _Probe:
    """A Job on its way: its part, since when, on the monotonic clock, and whether its container runs."""

    part: int
    since: float
    running: bool = False

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
        self._waiting = deque((node, at // AT_A_TIME) for at, node in enumerate(order.nodes))
        self._live: dict[str, _Probe] = {}
        self.documents: dict[str, Values] = {}
        self.missing: dict[str, str] = {}

    def play(self, cancel: Cancel) -> None:
        """Probe all nodes; who has not answered by the deadline has not answered."""
        what = f"probes {self._order.group}"
        try:
            SystemClock().wait_for(self._turn, deadline=self._order.deadline, what=what, cancel=cancel)
        except DeadlineExceeded:
            self._give_up()

    def _turn(self) -> bool:
        with working():
            self._top_up()
        if self._live:
            self._look()
        return not self._live and not self._waiting

    def _top_up(self) -> None:
        while self._waiting and sum(p.keeps_others_waiting for p in self._live.values()) < AT_A_TIME:
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
            self._kube.create(path("batch/v1", "jobs", "", place), manifest(self._order, node, part))
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
            if phase in ENDED:
                ended.append((node, pod))
            elif _lost(job) if pod is None else (probe.late and not probe.running and hopeless(pod)):
                self._miss(node, pod, job)
        with working():
            self._collect(ended)
            self._clear(self._over())

    def _seen(self) -> dict[str, Object]:
        """The pods by the node they are meant for."""
        found = _pods(self._kube, self._order.namespace, self._order.group)
        return {str((p["metadata"].get("annotations") or {}).get(NODE_ANNOTATION, "")): p for p in found}

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

    def _collect(self, ended: Sequence[tuple[str, Object | None]]) -> None:
        def answer(one: tuple[str, Object | None]) -> tuple[str, Values | str]:
            node, pod = one
            if pod is None or phase_of(pod) != "Succeeded":
                return node, why(pod, None, self._live[node].seconds)
            with suppress(ValueError):
                return node, document(last_words(pod), node)
            where = path("v1", "pods", pod["metadata"]["name"], self._order.namespace, "log")
            try:
                return node, document(self._kube.text(where, container="probe"), node)
            except (KnowngoodError, ValueError) as error:
                return node, f"the probe's answer can't be read: {error}"

        for node, found in with_hands(answer, ended, HANDS):
            if isinstance(found, str):
                self.missing[node] = found
            else:
                self.documents[node] = found

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
        for node in self._live:
            self._miss(node, pods.get(node), jobs.get(node))
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


def _remove_quietly(kube: Kube, order: Order, cancel: Cancel) -> str:
    try:
        # Not the caller's cancel: what was started is cleared away also when the judgement is called off.
        return remove(kube, order.namespace, order.group, Cancel() if cancel.is_set() else cancel)
    except KnowngoodError as error:
        return str(error)
