"""The class daemon-driver: restart the pod of an OnDelete DaemonSet on a drained node, and prove that its module came.

Proof is a banner in the kernel log that is newer than our claim.

Neither labels nor the custom resource's status count. While we wait, the node is held: k8s-driver-manager uncordons
it before the driver is even built.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from knowngood.adapters.clock import pause
from knowngood.adapters.cluster import actors, facts, node_state
from knowngood.adapters.kubernetes.client import ApiError, Object, path
from knowngood.adapters.nodes import claiming
from knowngood.adapters.nodes.batch import SEEN, NodeFailed, NotTold, Task
from knowngood.adapters.waiting import waiting, working
from knowngood.model import names
from knowngood.model.errors import Unreachable
from knowngood.model.mover import Mark, Moving, Pods, Proof

T = TypeVar("T")
LONGEST_PAUSE = 5.0  # seconds between two looks
JOURNAL_PATIENCE = 2.0  # seconds; the next look asks again
NOT_READY = "the node is not Ready"
UNREADABLE = "its kernel log can't be read"
WORDS_OF_OTHERS = (
    UNREADABLE,
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "RegistryUnavailable",
)
"""Words in a state that says nothing of the driver: the log was not to be had, or the image was not."""


def apply(task: Task, name: str, moving: Moving) -> tuple[bool, dict[str, Any]]:
    """Restart the pod unless the node runs the version from a load of this claim; wait for the operands."""
    spec = moving.spec
    if spec.pods is None or spec.proof is None:
        raise NodeFailed(f"the mover of {moving.component} names no pods or no proof")
    node = _Node(task, name, moving.after, spec.words.it, spec.pods, spec.proof)
    node.until(node.template, f"the {spec.words.it} DaemonSet")
    restarted = node.restart()
    load = node.until(node.loaded, f"the {spec.words.it}")
    node.until(node.operands, "the operands")
    detail = {
        "version": load.version,
        "load": {"bootId": load.boot_id, "monotonic": load.at},
        "restarted": restarted,
        "held": node.held,
        SEEN: node_state.arrived(name, {moving.component: load}),
    }
    return restarted or node.held > 0, detail


class _Node:
    """One node on its way from one version to another. Each look returns what it found, or None and the state.

    `it`: what people call the pods that bring the version, a driver say.
    """

    def __init__(self, task: Task, name: str, version: str, it: str, pods: Pods, proof: Proof) -> None:
        self._task = task
        self._name = name
        self._version = version
        self._it = it
        self._of = pods
        self._proof = proof
        self._ends_at = time.monotonic() + task.limits.apply
        self._node = task.held(name)
        self._snapshot = task.snapshot(self._node)
        self._daemonsets: list[Object] = []
        self._deleted = ""
        self._asked = False  # for its load
        self.held = 0  # how often somebody had taken our cordon or taint off

    def until(self, look: Callable[[], tuple[T | None, str]], what: str) -> T:
        """Look until it is there. NodeFailed when one state lasts longer than its age limit, or time is over."""
        began = since = time.monotonic()
        state, again = "", False
        while True:
            with waiting(again):
                self._hold()
                found, now_state = look()
            again = True
            if found is not None:
                return found
            now = time.monotonic()
            if now_state != state:
                state, since = now_state, now
                self._task.tell(self._name, state)
            limits = self._task.limits
            age = limits.node_unreachable if state == NOT_READY else limits.operand_age
            if now - since >= age or now >= self._ends_at:
                kind = NotTold if any(word in state for word in WORDS_OF_OTHERS) else NodeFailed
                raise kind(f"{what}: {state} for {now - since:.0f} s, {now - began:.0f} s in all")
            time.sleep(pause(now - began, LONGEST_PAUSE))

    def _hold(self) -> None:
        """Re-read the claim; put cordon and taint back where they are gone."""
        self._node = self._task.held(self._name)
        with working():
            self._put_back()

    def _put_back(self) -> None:
        tainted = any(t["key"] == names.MAINTENANCE_TAINT for t in actors.taints(self._node))
        if not (tainted and self._node["spec"].get("unschedulable")) and claiming.hold(
            self._task, self._name, self._node
        ):
            self.held += 1
            self._task.tell(self._name, "cordoned again: somebody had lifted our cordon")

    def template(self) -> tuple[Object | None, str]:
        """The DaemonSet that drives this node, once it carries the version: Git's change has arrived."""
        self._daemonsets = self._task.view.daemonsets()
        found = self._driver_daemonset()
        if found is None:
            return None, f"no {self._it} DaemonSet selects it"
        image = self._template_image(found)
        if not facts.carries(image, self._version):
            return None, f"DaemonSet {found['metadata']['name']} has {image}, not {self._version}"
        return found, ""

    def restart(self) -> bool:
        """Delete the driver pod if it must start anew, as the pod we have looked at and no other."""
        pod = self._driver_pod()
        daemonset = self._driver_daemonset()
        if pod is None or daemonset is None or pod["metadata"].get("deletionTimestamp"):
            return False
        current = facts.image_of(pod["spec"], self._of.container) == self._template_image(daemonset)
        if current and (not facts.is_ready(pod) or self._judge_load()[0]):
            return False
        self._task.held(self._name)
        metadata = pod["metadata"]
        where = path("v1", "pods", metadata["name"], metadata["namespace"])
        self._deleted = str(metadata["uid"])
        self._task.tell(self._name, f"{self._it} pod {metadata['name']} deleted")
        return self._task.kube.delete(where, uid=self._deleted)

    def loaded(self) -> tuple[Mark | None, str]:
        """The module's new load, once its pod is Ready."""
        if not facts.node_ready(self._node):
            return None, NOT_READY
        pod = self._driver_pod()
        if pod is None:
            return None, f"no {self._it} pod"
        if pod["metadata"]["uid"] == self._deleted:
            return None, f"the old {self._it} pod is ending"
        if not facts.is_ready(pod):
            return None, f"{self._it} pod {facts.pod_state(pod)}"
        return self._judge_load()

    def _judge_load(self) -> tuple[Mark | None, str]:
        again, self._asked = self._asked, True
        try:
            with waiting() if again else working():
                load = facts.module_load(self._task.kube, self._name, JOURNAL_PATIENCE, self._proof)
        except (ApiError, Unreachable) as error:
            return None, f"{UNREADABLE}: {type(error).__name__}"
        if load is None:
            return None, f"no {self._it} was loaded on this boot"
        if load.version != self._version:
            return None, f"module {load.version} is loaded, not {self._version}"
        if not self._is_fresh(load):
            return None, f"module {load.version} was loaded before the claim, not anew"
        return load, ""

    def _is_fresh(self, load: Mark) -> bool:
        """Newer than the claim; or the very load of the claim, when that version is wanted (it never went away)."""
        before = self._snapshot.get("load")
        if not before or load.boot_id != before["boot_id"] or load.at > float(before["monotonic"]):
            return True
        return bool(before["version"] == self._version)

    def operands(self) -> tuple[bool | None, str]:
        """All operands that select the node run, nothing is parked, and it offers what it offered before."""
        if not facts.node_ready(self._node):
            return None, NOT_READY
        if paused := actors.parked(self._node):
            return None, f"operands are parked: {paused[0]}"
        ours = {}
        for pod in self._pods():
            for owner in pod["metadata"].get("ownerReferences") or ():
                ours[str(owner.get("name"))] = facts.pod_state(pod)
        for daemonset in self._daemonsets:
            name = daemonset["metadata"]["name"]
            if self._selects(daemonset) and (name in facts.OPERANDS or self._is_one(daemonset)):
                state = ours.get(name, "no pod")
                if state != "ready":
                    return None, f"{name}: {state}"
        offered = facts.extended((self._node.get("status") or {}).get("allocatable") or {})
        for resource, amount in (self._snapshot.get("allocatable") or {}).items():
            if offered.get(resource) != amount:
                return None, f"{resource} is {offered.get(resource, 'gone')}, was {amount}"
        return True, ""

    def _pods(self) -> list[Object]:
        return facts.pods_of_node(self._task.kube, self._name, self._task.gpu_operator)

    def _driver_pod(self) -> Object | None:
        """The driver pod of the node; the youngest if an old one is still ending."""
        pods = list(self._task.view.labelled(self._name, self._of.label))
        pods.sort(key=lambda pod: (not pod["metadata"].get("deletionTimestamp"), _created(pod)))
        return pods[-1] if pods else None

    def _driver_daemonset(self) -> Object | None:
        return next((d for d in self._daemonsets if self._is_one(d) and self._selects(d)), None)

    def _is_one(self, daemonset: Mapping[str, Any]) -> bool:
        return facts.has_label(daemonset["spec"]["template"], self._of.label)

    def _template_image(self, daemonset: Mapping[str, Any]) -> str:
        return facts.image_of(daemonset["spec"]["template"]["spec"], self._of.container)

    def _selects(self, daemonset: Mapping[str, Any]) -> bool:
        labels = self._node["metadata"].get("labels") or {}
        wanted = daemonset["spec"]["template"]["spec"].get("nodeSelector") or {}
        return all(labels.get(key) == value for key, value in wanted.items())


def _created(pod: Mapping[str, Any]) -> str:
    return str(pod["metadata"].get("creationTimestamp") or "")
