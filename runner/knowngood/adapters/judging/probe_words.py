"""What a probe's pod says: its document, or in words what happened to it. Pure."""

from __future__ import annotations

import json
from collections.abc import Sequence

from knowngood.adapters.kubernetes.client import Object
from knowngood.model.values import Values

SCHEMA = 1
ENDED = frozenset({"Succeeded", "Failed"})
STUCK = frozenset(
    {
        "ImagePullBackOff",
        "ErrImagePull",
        "InvalidImageName",
        "ErrImageNeverPull",
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
    }
)
"""Reasons of a waiting container that do not pass by waiting a little longer."""
LONGEST = 200  # characters of somebody else's words


def document(log: str, node: str) -> Values:
    """What the probe said: its documents, a line each, as one. ValueError where there is none from `node`.

    Lines that are none are other talk. Two boots in one log are two nodes' worth of answers, and so none.
    """
    results: dict[str, Values] = {}
    boots: dict[str, None] = {}
    for line in log.split("\n"):
        found = _document(line)
        if found is None:
            continue
        if found.get("node") != node:
            raise ValueError(f"the document is of node {found.get('node')!r}")
        boots[str(found.get("bootId", ""))] = None
        results |= found["results"]
    if not boots:
        raise ValueError(f"no document in {len(log.splitlines())} lines: {log.strip()[-LONGEST:]!r}")
    if len(boots) > 1:
        raise ValueError(f"the documents are of {len(boots)} boots")
    return {"schema": SCHEMA, "node": node, "bootId": next(iter(boots)), "results": results}


def _document(line: str) -> Object | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    ours = (
        isinstance(found, dict) and found.get("schema") == SCHEMA and isinstance(found.get("results"), dict)
    )
    return found if ours else None


def completed(said: Values, payloads: Sequence[str], why: str) -> Values:
    """A probe's document with a place for every payload: those that said nothing could not be measured, for `why`.

    Payloads run in their order, so the first of those is the one that ran when the probe ended.
    """
    results: dict[str, object] = dict(said["results"])
    lost = [name for name in payloads if name not in results]
    for name in lost:
        words = f"{why} while it ran" if name == lost[0] else f"{why} before its turn"
        results[name] = {"ok": None, "backend": "", "reason": words, "measured": {}}
    return {**said, "results": results}


def last_words(pod: Values) -> str:
    """What a pod's container left in the pod's status when it ended, "" where it left nothing."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    ended = [(status.get("state") or {}).get("terminated") or {} for status in statuses]
    return "".join(str(state.get("message") or "") for state in ended)


def phase_of(pod: Values) -> str:
    """A pod's phase, "" where it has none yet."""
    return str((pod.get("status") or {}).get("phase", ""))


def hopeless(pod: Values) -> bool:
    """Whether a pod that has not started waits for something that only somebody else can change."""
    unplaced = not (pod.get("spec") or {}).get("nodeName")
    return unplaced or any(reason in STUCK for reason, _ in _states(pod, "waiting"))


def why(pod: Object | None, job: Object | None, seconds: float | None = None) -> str:
    """What became of a probe that gave no answer, `seconds` after its Job was made where that counts.

    None for pod or job: not there.
    """
    within, after = ("", "") if seconds is None else (f" in {seconds:.0f} s", f" after {seconds:.0f} s")
    if pod is None:
        return _without_pod(job, within, after)
    phase = phase_of(pod)
    if phase in ENDED:
        return f"the probe pod {phase.lower()}: {_end(pod)}"
    if not (pod.get("spec") or {}).get("nodeName"):
        return f"the probe pod was not scheduled{within}: {_condition(pod, 'PodScheduled')}"
    if phase == "Running":
        return f"the probe still ran{after}"
    waiting = [f"{reason}: {message}".rstrip(": ") for reason, message in _states(pod, "waiting")]
    return f"the probe pod did not start{within}{_behind(pod)}: {(waiting or [_condition(pod, 'Ready')])[0]}"


def pulls(pod: Values) -> bool:
    """Whether a pod waits for its image and for nothing else: it is placed, its volumes and network are there."""
    states = {reason for reason, _ in _states(pod, "waiting")}
    return bool(states) and states <= {"ContainerCreating"} and "True" in _can_start(pod)


def _can_start(pod: Values) -> set[object]:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return {c.get("status") for c in conditions if c.get("type") == "PodReadyToStartContainers"}


def _behind(pod: Values) -> str:
    """What a container waits for that is merely being created: its volumes and network, or its image.

    The kubelet tells them apart by PodReadyToStartContainers (beta, and on, from Kubernetes 1.29).
    """
    if not {reason for reason, _ in _states(pod, "waiting")} <= {"ContainerCreating"}:
        return ""
    ready = _can_start(pod)
    if "True" in ready:
        return " (its image is being pulled)"
    if "False" in ready:
        return " (a volume or its network is not ready; its events say which. Is driverRoot of the cluster file right?)"
    return ""


def _without_pod(job: Object | None, within: str, after: str) -> str:
    if job is None:
        return f"the probe's Job was deleted by somebody else{within}"
    for condition in (job.get("status") or {}).get("conditions") or ():
        if condition.get("type") == "Failed" and condition.get("status") == "True":
            said = f"{condition.get('reason', '')}: {condition.get('message', '')}"[:LONGEST]
            return f"the probe pod is gone, its Job failed{after}: {said}"
    if (job.get("spec") or {}).get("suspend"):
        return (
            f"the probe's Job {job['metadata']['name']} was not let in by its queue{within} (it is suspended)"
        )
    return (
        f"Kubernetes made no pod for Job {job['metadata']['name']}{within}"
        " (its events say why: a quota, a webhook, or a deploy/base that is older than this program)"
    )


def _end(pod: Object) -> str:
    """How its container ended: exit code, reason and last words."""
    for container in (pod.get("status") or {}).get("containerStatuses") or ():
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("reason") or "exitCode" in ended:
            words = f"exit code {ended.get('exitCode', '?')}, {ended.get('reason', '')}".rstrip(", ")
            return f"{words}: {(ended.get('message') or '').strip()[-LONGEST:]}".rstrip(": ")
    status = pod.get("status") or {}
    return str(status.get("message") or status.get("reason") or "no reason given")[:LONGEST]


def _states(pod: Values, kind: str) -> list[tuple[str, str]]:
    """Reason and message of each container that is in a state of that kind."""
    statuses = (pod.get("status") or {}).get("containerStatuses") or ()
    found = [(container.get("state") or {}).get(kind) or {} for container in statuses]
    return [(s["reason"], (s.get("message") or "").strip()[:LONGEST]) for s in found if s.get("reason")]


def _condition(pod: Object, wanted: str) -> str:
    """What the pod's condition of a type says, in its writer's own words."""
    for condition in (pod.get("status") or {}).get("conditions") or ():
        if condition.get("type") == wanted and condition.get("status") == "False":
            said = condition.get("message") or condition.get("reason")
            if said:
                return str(said)[:LONGEST]
    return "no reason given"
