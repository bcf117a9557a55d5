"""A pod's status as a kubelet writes it. Pure: from the pod and what its containers do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256

from knowngood.twin.behaviours.kube import condition, merge_conditions, stamp, uid_of
from knowngood.twin.values import Object

WAITING, RUNNING, READY, DONE = "waiting", "running", "ready", "done"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a pod's containers are.

    init and main are WAITING, RUNNING, READY (main only) or DONE. code: exit code of what is DONE;
    reason: why something waits (CrashLoopBackOff, ContainerCreating); message: its last words. failing: containers
    beside the first one that restart again and again, with theirs. restarts: of the containers, as init_restarts are of
    those before them; ended: when what ran before the last one did.
    """

    init: str = DONE
    main: str = WAITING
    code: int = 0
    restarts: int = 0
    init_restarts: int = 0
    reason: str = "ContainerCreating"
    message: str = ""
    started: str = ""
    ended: str = ""
    failing: Mapping[str, str] = field(default_factory=dict)


def status(pod: Object, progress: Progress, host_ip: str, pod_ip: str) -> Object:
    """The whole status; condition times that did not change stay. host_ip: "" where the node has no address."""
    spec, old = pod["spec"], pod.get("status", {})
    ready = progress.main == READY and not progress.failing
    done = progress.main == DONE
    phase = "Pending"
    if done:
        phase = "Succeeded" if progress.code == 0 else "Failed"
    elif progress.main != WAITING or (progress.init == DONE and progress.restarts and progress.started):
        phase = "Running"
    reason = "PodCompleted" if done and phase == "Succeeded" else ("" if ready else "ContainersNotReady")
    conditions = [
        condition("PodReadyToStartContainers", status=not done),
        condition(
            "Initialized", progress.init == DONE, "" if progress.init == DONE else "ContainersNotInitialized"
        ),
        condition("Ready", ready, reason),
        condition("ContainersReady", ready, reason),
        condition("PodScheduled", status=True),
    ]
    result: Object = {
        "phase": phase,
        "conditions": merge_conditions(old.get("conditions") or (), conditions),
        "podIP": pod_ip,
        "podIPs": [{"ip": pod_ip}],
        "startTime": old.get("startTime") or stamp(),
        "containerStatuses": [_main(pod, c, _of(c, progress)) for c in spec["containers"]],
    }
    if host_ip:
        result |= {"hostIP": host_ip, "hostIPs": [{"ip": host_ip}]}
    if spec.get("initContainers"):
        result["initContainerStatuses"] = [_init(pod, c, progress) for c in spec["initContainers"]]
    return result


def _of(container: Object, progress: Progress) -> Progress:
    """How far that container is."""
    if progress.main != READY or container["name"] not in progress.failing:
        return progress
    words = progress.failing[container["name"]]
    return replace(progress, main=WAITING, reason="CrashLoopBackOff", message=words, restarts=1)


def _main(pod: Object, container: Object, progress: Progress) -> Object:
    identity = f"cri-o://{uid_of(pod).replace('-', '')}{container['name'][:8]}"
    begun = progress.started or stamp()
    if progress.main == DONE:
        state: Object = {"terminated": _terminated(progress, identity, begun)}
    elif progress.main == WAITING:
        waiting = "PodInitializing" if progress.init != DONE else progress.reason
        state = {"waiting": {"reason": waiting, "message": progress.message}}
    else:
        state = {"running": {"startedAt": begun}}
    entry = _entry(container, state, progress.restarts)
    if progress.restarts and progress.ended:
        entry["lastState"] = {
            "terminated": {"exitCode": 255, "reason": "Error", "finishedAt": progress.ended}
        }
    entry["ready"] = progress.main == READY
    entry["started"] = progress.main in {RUNNING, READY}
    entry["containerID"] = identity if progress.main != WAITING else ""
    return entry


def _init(pod: Object, container: Object, progress: Progress) -> Object:
    identity = f"cri-o://{uid_of(pod).replace('-', '')}{container['name'][:8]}"
    begun = progress.started or stamp()
    if progress.init == DONE:
        done = Progress(started=begun)
        state: Object = {"terminated": _terminated(done, identity, begun)}
    elif progress.init == RUNNING:
        state = {"running": {"startedAt": begun}}
    else:
        state = {"waiting": {"reason": progress.reason, "message": progress.message}}
    entry = _entry(container, state, progress.init_restarts if progress.init != DONE else 0)
    if progress.init == WAITING and progress.init_restarts:
        failed = Progress(code=1, message=progress.message, started=begun)
        entry["lastState"] = {"terminated": _terminated(failed, identity, begun)}
    entry["ready"] = progress.init == DONE
    entry["started"] = progress.init == RUNNING
    entry["containerID"] = identity
    return entry


def _entry(container: Object, state: Object, restarts: int) -> Object:
    return {
        "name": container["name"],
        "image": container.get("image", ""),
        "imageID": "" if "waiting" in state else _pulled(str(container.get("image", ""))),
        "restartCount": restarts,
        "state": state,
        "lastState": {},
    }


def _pulled(image: str) -> str:
    """What CRI-O says of a pulled image: its name and its digest, here made of the name as there is no content."""
    if "@" in image:
        return image
    name, colon, tag = image.rpartition(":")
    name = name if colon and "/" not in tag else image
    return f"{name}@sha256:{sha256(image.encode()).hexdigest()}"


def _terminated(progress: Progress, identity: str, begun: str) -> Object:
    return {
        "exitCode": progress.code,
        "reason": "Completed" if progress.code == 0 else "Error",
        "message": progress.message,
        "startedAt": begun,
        "finishedAt": stamp(),
        "containerID": identity,
    }
