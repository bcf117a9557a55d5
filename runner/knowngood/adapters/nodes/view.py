"""A batch's nodes and the GPU operator's objects on them: what one node's look reads serves all that look then.

Nothing here is old. Who asks is answered by a reading that began after the question; only what several ask for at the
same time is read once. Before a pod is evicted its node is read by itself: evictions are far apart, one by one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Generic, NoReturn, TypeVar

from knowngood.adapters.cluster import facts
from knowngood.adapters.cluster.reader import FEW
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.kubernetes.lease import LEASE_PATH

T = TypeVar("T")
SHARE, LONGEST = 5.0, 5.0
"""A reading begins again after so many times what it took, and after so many seconds at most."""


class Shared(Generic[T]):
    """One reading for all who ask before it begins.

    A reading that took long begins again only after some time: a batch that waits asks all the time, and a large
    fleet's API server must not be kept busy by it.
    """

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._turn = threading.Lock()
        self._began = float("-inf")
        self._not_before = float("-inf")
        self._answer: Callable[[], T] = read

    def now(self) -> T:
        """As it is now. A reading that failed has failed for all whom it would have served: nobody waits twice."""
        asked = time.monotonic()
        with self._turn:
            if self._began < asked:
                time.sleep(max(0.0, self._not_before - time.monotonic()))
                self._began = time.monotonic()
                self._answer = self._tried()
                took = time.monotonic() - self._began
                self._not_before = self._began + min(SHARE * took, LONGEST)
            return self._answer()

    def _tried(self) -> Callable[[], T]:
        try:
            found = self._read()
        except Exception as error:  # noqa: BLE001 (raised again, by each who asked)
            return partial(_raise, error)
        return lambda: found


def _raise(error: Exception) -> NoReturn:
    raise error


class View:
    """The nodes of a batch. Few are asked for by name, many by the label that has their name as a rule."""

    def __init__(self, kube: Kube, batch: Sequence[str], namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._many = tuple(batch) if len(batch) > FEW else ()
        self._nodes = Shared(lambda: facts.nodes_named(kube, self._many))
        self._labelled: dict[tuple[str, str], Shared[dict[str, list[Object]]]] = {}
        self._listed: dict[tuple[str, str, str], Shared[list[Object]]] = {}
        self._one = threading.Lock()
        self._lease = Shared(lambda: kube.find(LEASE_PATH) or {})

    def node(self, name: str) -> Object | None:
        """The node's object, whole."""
        if name in self._many:
            return self._nodes.now().get(name)
        return self._kube.find(path("v1", "nodes", name))

    def labelled(self, name: str, label: str, namespace: str = "") -> list[Object]:
        """The operator's pods on a node that have a label `key=value`, as its driver's.

        `namespace`: another operator's than the GPU operator's, here and below.
        """
        namespace = namespace or self._namespace
        if name not in self._many:
            return facts.pods_of_node(self._kube, name, namespace, label)
        with self._one:
            shared = self._labelled.setdefault(
                (label, namespace), Shared(lambda: self._list_pods(label, namespace))
            )
        return shared.now().get(name, [])

    def daemonsets(self, namespace: str = "") -> list[Object]:
        """The operator's DaemonSets."""
        return self._list("daemonsets", namespace)

    def revisions(self, label: str, namespace: str = "") -> list[Object]:
        """The templates of today and before of the DaemonSets whose pods have a label, without their text."""
        return self._list("controllerrevisions", namespace, label)

    def _list(self, plural: str, namespace: str, label: str = "") -> list[Object]:
        namespace = namespace or self._namespace
        where, keep = path("apps/v1", plural, "", namespace), _without_data if label else None
        with self._one:
            shared = self._listed.setdefault(
                (plural, namespace, label), Shared(lambda: self._kube.list(where, label, keep=keep))
            )
        return shared.now()

    def lease(self) -> Object:
        """The Lease that says who may run, empty where there is none."""
        return self._lease.now()

    def _list_pods(self, label: str, namespace: str) -> dict[str, list[Object]]:
        found: dict[str, list[Object]] = {}
        for pod in self._kube.list(path("v1", "pods", "", namespace), label):
            found.setdefault(str(pod["spec"].get("nodeName") or ""), []).append(pod)
        return found


def _without_data(revision: Object) -> Object:
    return {key: value for key, value in revision.items() if key != "data"}
