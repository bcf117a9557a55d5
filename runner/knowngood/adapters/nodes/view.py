"""A batch's nodes and the GPU operator's objects on them: what one node's look reads serves all that look then.

Nothing here is old. Who asks is answered by a reading that began after the question; only what several ask for at the
same time is read once. Before a pod is evicted its node is read by itself: evictions are far apart, one by one.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from knowngood.adapters.cluster import facts
from knowngood.adapters.cluster.reader import FEW
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.adapters.kubernetes.lease import LEASE_PATH

T = TypeVar("T")


class Shared(Generic[T]):
    """One reading for all who ask before it begins."""

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._turn = threading.Lock()
        self._began = float("-inf")
        self._found: T | None = None

    def now(self) -> T:
        """As it is now. Raises what the reading raises; the next who asks reads anew."""
        asked = time.monotonic()
        with self._turn:
            if self._began < asked or self._found is None:
                began = time.monotonic()
                self._found, self._began = self._read(), began
            return self._found


class View:
    """The nodes of a batch. Few are asked for by name, many are taken from one list."""

    def __init__(self, kube: Kube, batch: Sequence[str], namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._many = frozenset(batch) if len(batch) > FEW else frozenset()
        self._drained: set[str] = set()  # nodes all of whose pods were asked for
        self._nodes = Shared(self._list_nodes)
        self._pods = Shared(lambda: self._list_pods(namespace))
        self._everything = Shared(lambda: self._list_pods(""))
        self._daemonsets = Shared(lambda: kube.list(path("apps/v1", "daemonsets", "", namespace)))
        self._lease = Shared(lambda: kube.find(LEASE_PATH) or {})

    def node(self, name: str) -> Object | None:
        """The node's object, whole."""
        if name not in self._many:
            return self._kube.find(path("v1", "nodes", name))
        return self._nodes.now().get(name)

    def pods(self, name: str) -> list[Object]:
        """The operator's pods on a node."""
        if name not in self._many:
            return facts.pods_of_node(self._kube, name, self._namespace)
        return self._pods.now().get(name, [])

    def everything(self, name: str) -> list[Object]:
        """All pods on a node, whole: once for a batch. What is left of them later is asked of each node."""
        if name not in self._many or name in self._drained:
            return facts.pods_of_node(self._kube, name)
        self._drained.add(name)
        return self._everything.now().get(name, [])

    def daemonsets(self) -> list[Object]:
        """The operator's DaemonSets."""
        return self._daemonsets.now()

    def lease(self) -> Object:
        """The Lease that says who may run, empty where there is none."""
        return self._lease.now()

    def _list_nodes(self) -> dict[str, Object]:
        def keep(node: Object) -> Object:
            return node if node["metadata"]["name"] in self._many else {}

        return {n["metadata"]["name"]: n for n in self._kube.list(path("v1", "nodes"), keep=keep) if n}

    def _list_pods(self, namespace: str) -> dict[str, list[Object]]:
        def keep(pod: Object) -> Object:
            return pod if pod["spec"].get("nodeName") in self._many else {}

        found: dict[str, list[Object]] = {}
        for pod in self._kube.list(path("v1", "pods", "", namespace), keep=keep):
            if pod:
                found.setdefault(pod["spec"]["nodeName"], []).append(pod)
        return found
