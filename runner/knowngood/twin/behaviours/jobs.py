"""The Job controller: plain and Indexed Jobs with parallelism, completions, backoff, deadline and TTL."""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import (
    JOB,
    POD,
    Key,
    annotations_of,
    condition,
    controller_of,
    deleting,
    is_true,
    key_of,
    moment,
    name_of,
    namespace_of,
    owner_reference,
    phase_of,
    random_suffix,
    stamp,
    uid_of,
)
from knowngood.twin.values import Object

INDEX = "batch.kubernetes.io/job-completion-index"
BACKOFF_S = 10.0
BACKOFF_MAX_S = 360.0


@dataclass(frozen=True, slots=True)
class _Count:
    """A Job's pods: those at work, and how many ended which way; indexes for Indexed Jobs."""

    active: list[Object]
    succeeded: int
    failed: int
    done: set[int]


class Jobs(Controller):
    """Works on one Job at a time."""

    name = "job-controller"
    watches = (JOB, POD)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        # Failed pods that are gone already (evicted, deleted), by Job uid: they count all the same.
        self._lost: dict[str, set[str]] = {}
        self._pauses: dict[tuple[str, int], float] = {}  # (Job uid, failures) -> monotonic end of the pause

    def listen(self) -> None:
        """A Job or one of its pods changed."""
        self.every(JOB, key_of)
        self.every(POD, _owner_key)
        self.cache.listen(POD, self._pod_gone)

    def _pod_gone(self, event: str, pod: Object) -> None:
        owner = controller_of(pod)
        if event == "DELETED" and owner and owner["kind"] == "Job" and phase_of(pod) != "Succeeded":
            self._lost.setdefault(owner["uid"], set()).add(uid_of(pod))

    async def reconcile(self, key: Key) -> None:
        """Start pods, count them, end the Job."""
        job = self.cache.get(JOB, key[1], key[0])
        if job is None or deleting(job):
            return
        if is_true(job, "Complete") or is_true(job, "Failed"):
            await self._expire(job)
            return
        count = self._count(job)
        spec = job["spec"]
        wanted = spec.get("completions") or spec.get("parallelism") or 1
        if count.succeeded >= wanted:
            await self._finish(
                job, count, [condition("SuccessCriteriaMet", status=True), condition("Complete", status=True)]
            )
        elif count.failed > int(spec.get("backoffLimit", 6)):
            await self._fail(
                job, count, "BackoffLimitExceeded", "Job has reached the specified backoff limit"
            )
        elif self._overdue(job):
            await self._fail(job, count, "DeadlineExceeded", "Job was active longer than specified deadline")
        else:
            if not spec.get("suspend"):
                await self._top_up(job, count, wanted)
            await self._status(job, self._count(job), [])

    def _count(self, job: Object) -> _Count:
        pods = self.cache.owned(POD, job)
        good = [p for p in pods if phase_of(p) == "Succeeded"]
        bad = {uid_of(p) for p in pods if phase_of(p) == "Failed"}
        active = [p for p in pods if phase_of(p) in {"Pending", "Running"}]
        done = {int(annotations_of(p)[INDEX]) for p in good if INDEX in annotations_of(p)}
        earlier = _parse_indexes(job.get("status", {}).get("completedIndexes") or "")
        succeeded = len(done | earlier) if _indexed(job) else len(good)
        return _Count(active, succeeded, len(bad | self._lost.get(uid_of(job), set())), done | earlier)

    async def _top_up(self, job: Object, count: _Count, wanted: int) -> None:
        room = int(job["spec"].get("parallelism", 1)) - len(count.active)
        room = min(room, wanted - count.succeeded - len(count.active))
        if room <= 0:
            return
        if count.failed and not await self._waited(job, count.failed):
            return
        busy = {int(annotations_of(p)[INDEX]) for p in count.active if INDEX in annotations_of(p)}
        free = [i for i in range(wanted) if i not in count.done and i not in busy]
        for number in range(room):
            index = free[number] if _indexed(job) else None
            await self.api.create(_pod(job, index))

    async def _waited(self, job: Object, failed: int) -> bool:
        """Whether the pause after the last failure is over; else come back then."""
        pause = self.twin.clock.real(min(BACKOFF_S * 2 ** (failed - 1), BACKOFF_MAX_S))
        ends = self._pauses.setdefault((uid_of(job), failed), time.monotonic() + pause)
        left = ends - time.monotonic()
        if left > 0:
            self.enqueue_later(key_of(job), left)
        return left <= 0

    def _overdue(self, job: Object) -> bool:
        deadline = job["spec"].get("activeDeadlineSeconds")
        begun = job.get("status", {}).get("startTime")
        if deadline is None or begun is None:
            return False
        left = moment(begun) + float(deadline) - time.time()
        if left > 0:
            self.enqueue_later(key_of(job), left)
        return left <= 0

    async def _fail(self, job: Object, count: _Count, reason: str, message: str) -> None:
        for pod in count.active:
            if not deleting(pod):
                await self.api.delete(pod)
        await self._finish(job, count, [condition("Failed", "True", reason, message)])

    async def _finish(self, job: Object, count: _Count, conditions: list[Object]) -> None:
        done = any(c["type"] == "Complete" for c in conditions)
        extra = {"completionTime": stamp()} if done else {}
        await self._status(job, count, conditions, **extra)

    async def _status(self, job: Object, count: _Count, conditions: list[Object], **extra: str) -> None:
        ready = sum(is_true(p, "Ready") for p in count.active)
        ended = bool(conditions)
        status: Object = {
            "active": 0 if ended else len(count.active),
            "ready": 0 if ended else ready,
            "succeeded": count.succeeded,
            "failed": count.failed,
            "terminating": sum(deleting(p) for p in count.active),
            "uncountedTerminatedPods": {},
            **extra,
        }
        if _indexed(job):
            status["completedIndexes"] = _format_indexes(count.done)
        old = job.get("status") or {}
        if "startTime" not in old and not job["spec"].get("suspend"):
            status["startTime"] = stamp()
        if conditions:
            status["conditions"] = [*(old.get("conditions") or ()), *conditions]
        if any(old.get(name) != value for name, value in status.items()):
            await self.api.status(job, status)

    async def _expire(self, job: Object) -> None:
        ttl = job["spec"].get("ttlSecondsAfterFinished")
        if ttl is None:
            return
        ended = max(moment(c["lastTransitionTime"]) for c in job["status"]["conditions"])
        left = ended + float(ttl) - time.time()
        if left > 0:
            self.enqueue_later(key_of(job), left)
        else:
            await self.api.delete(job)


def _owner_key(pod: Object) -> Key | None:
    owner = controller_of(pod)
    return (namespace_of(pod), owner["name"]) if owner and owner["kind"] == "Job" else None


def _indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def _parse_indexes(text: str) -> set[int]:
    """The indexes of a text such as 0,2-4."""
    found: set[int] = set()
    for part in filter(None, text.split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def _format_indexes(indexes: set[int]) -> str:
    ranges: list[list[int]] = []
    for index in sorted(indexes):
        if ranges and ranges[-1][1] == index - 1:
            ranges[-1][1] = index
        else:
            ranges.append([index, index])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def _pod(job: Object, index: int | None) -> Object:
    template = copy.deepcopy(job["spec"]["template"])
    metadata, spec = template.get("metadata") or {}, template["spec"]
    uid, name = uid_of(job), name_of(job)
    labels = {
        **(metadata.get("labels") or {}),
        "batch.kubernetes.io/job-name": name,
        "job-name": name,
        "batch.kubernetes.io/controller-uid": uid,
        "controller-uid": uid,
    }
    annotations = dict(metadata.get("annotations") or {})
    middle = ""
    if index is not None:
        labels[INDEX] = annotations[INDEX] = str(index)
        middle = f"-{index}"
        spec["hostname"] = f"{name}-{index}"[:63]
        for container in (*spec["containers"], *(spec.get("initContainers") or ())):
            container.setdefault("env", []).append({"name": "JOB_COMPLETION_INDEX", "value": str(index)})
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name[:50]}{middle}-{random_suffix()}",
            "namespace": namespace_of(job),
            "labels": labels,
            "annotations": annotations,
            "ownerReferences": [owner_reference(job)],
        },
        "spec": spec,
    }
