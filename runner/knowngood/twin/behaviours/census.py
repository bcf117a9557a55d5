"""A DaemonSet's pods and places, counted as they change: its sums cost the same whatever the cluster's size."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from knowngood.twin.behaviours.kube import deleting, is_true, labels_of, uid_of
from knowngood.twin.values import Object

HASH_LABEL = "controller-revision-hash"
Placement = tuple[bool, bool]  # a pod should run there; one that runs may stay
NOWHERE: Placement = (False, False)


class Count(NamedTuple):
    """Of one node, or of all: the numbers of the status, and what decides whether the next pod may roll."""

    wanted: int = 0  # nodes that should have a pod; one that may only keep the pod it has is none
    pods: int = 0
    astray: int = 0  # pods where none is wanted
    current: int = 0  # pods where they are wanted, those too that are being deleted
    ready: int = 0  # of those
    updated: int = 0  # of those
    sound: int = 0  # ready and not being deleted, wherever


class Census:
    """One DaemonSet's. `revision`: the hash of its present template."""

    def __init__(self) -> None:
        self.revision = ""
        self.sum = Count()
        self._pods: dict[str, dict[str, Object]] = {}
        self._placed: dict[str, Placement] = {}
        self._counts: dict[str, Count] = {}
        self._outdated: dict[str, Object] = {}  # by uid, those that nobody deletes

    def pods_on(self, node: str) -> list[Object]:
        """The pods of a node, bound to it or meant for it."""
        return list(self._pods.get(node, {}).values())

    def knows(self, node: str) -> bool:
        """Whether it was worked out what a node should have."""
        return node in self._placed

    def placement(self, node: str) -> Placement:
        """What a node should have."""
        return self._placed.get(node, NOWHERE)

    def place(self, node: str, placement: Placement | None) -> None:
        """What a node should have from now on; None: it is gone."""
        if placement is None:
            self._placed.pop(node, None)
        else:
            self._placed[node] = placement
        self._count(node)

    def replace_template(self, revision: str) -> None:
        """Another template: all places are to be worked out anew."""
        self.revision = revision
        self._placed = {}
        self._outdated = {}
        for node in list({**self._pods, **self._counts}):
            self._count(node)

    def take(self, node: str, pod: Object) -> None:
        """A pod is there, or has become this."""
        self._pods.setdefault(node, {})[uid_of(pod)] = pod
        self._count(node)

    def leave(self, node: str, pod: Object) -> None:
        """A pod is gone."""
        self._pods.get(node, {}).pop(uid_of(pod), None)
        self._outdated.pop(uid_of(pod), None)
        self._count(node)

    def outdated(self) -> list[Object]:
        """Pods of an earlier template that nobody deletes."""
        return list(self._outdated.values())

    def _count(self, node: str) -> None:
        pods = self._pods.get(node, {}).values()
        for pod in pods:
            if labels_of(pod).get(HASH_LABEL) != self.revision and not deleting(pod):
                self._outdated[uid_of(pod)] = pod
            else:
                self._outdated.pop(uid_of(pod), None)
        before, now = self._counts.pop(node, Count()), _count(pods, self.placement(node), self.revision)
        self.sum = Count(*(total - old + new for total, old, new in zip(self.sum, before, now, strict=True)))
        if pods or node in self._placed:
            self._counts[node] = now
        else:
            self._pods.pop(node, None)


def _count(pods: Collection[Object], placement: Placement, revision: str) -> Count:
    run, _ = placement
    sound = sum(is_true(pod, "Ready") and not deleting(pod) for pod in pods)
    if not run:
        return Count(pods=len(pods), astray=len(pods), sound=sound)
    return Count(
        wanted=1,
        pods=len(pods),
        current=len(pods),
        ready=sum(is_true(pod, "Ready") for pod in pods),
        updated=sum(labels_of(pod).get(HASH_LABEL) == revision for pod in pods),
        sound=sound,
    )
