"""Where the objects are: in memory, one version counter, a history for watches.

Stored objects never change: a write stores a new one.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from knowngood.twin.api.errors import expired
from knowngood.twin.values import Object

Name = tuple[str, str]  # namespace ("" where there is none) and name
EventType = Literal["ADDED", "MODIFIED", "DELETED"]

# How many changes of one kind a watch can resume over; older resumes get 410 Gone.
HISTORY = 2000
# Not 1, so that a version from an earlier twin on the same port is too old rather than plausible.
FIRST_VERSION = 1000


def encode(obj: Any) -> bytes:
    """Return compact JSON."""
    return json.dumps(obj, separators=(",", ":"), ensure_ascii=False).encode()


@dataclass(slots=True)
class Stored:
    """An object as it was written at a version, with its JSON made once, when first asked for."""

    obj: Object
    version: int
    _encoded: bytes | None = None

    @property
    def encoded(self) -> bytes:
        """The object's JSON."""
        if self._encoded is None:
            self._encoded = encode(self.obj)
        return self._encoded


@dataclass(frozen=True, slots=True)
class Change:
    """One write: what became of the object, and what it was before."""

    type: EventType
    key: str
    now: Stored
    before: Stored | None

    @property
    def version(self) -> int:
        """The resourceVersion of the write."""
        return self.now.version


Listener = Callable[[Change], None]


class _Table:
    """The objects of one kind."""

    def __init__(self) -> None:
        self.objects: dict[Name, Stored] = {}
        self.spaces: dict[str, set[str]] = {}  # namespace -> names, so that one namespace costs only itself
        self.history: deque[Change] = deque(maxlen=HISTORY)
        self.forgotten = 0  # the version of the newest change that fell out of the history
        self.listeners: list[Listener] = []


class Store:
    """All objects by storage key, namespace and name."""

    def __init__(self) -> None:
        self.version = FIRST_VERSION
        self._tables: dict[str, _Table] = {}
        self._listeners: list[Listener] = []

    def _table(self, key: str) -> _Table:
        return self._tables.setdefault(key, _Table())

    def get(self, key: str, namespace: str, name: str) -> Stored | None:
        """Return the object, or None."""
        return self._table(key).objects.get((namespace, name))

    def items(self, key: str, namespace: str | None = None) -> list[Stored]:
        """Return the objects of one namespace, or of all, ordered by namespace and name."""
        table = self._table(key)
        if namespace:
            return [table.objects[namespace, name] for name in sorted(table.spaces.get(namespace, ()))]
        return [table.objects[name] for name in sorted(table.objects)]

    def put(self, key: str, obj: Object) -> Stored:
        """Keep the object as it is now; sets its resourceVersion. The caller gives up the object."""
        table = self._table(key)
        name = (obj["metadata"].get("namespace", ""), obj["metadata"]["name"])
        before = table.objects.get(name)
        self.version += 1
        obj["metadata"]["resourceVersion"] = str(self.version)
        stored = Stored(obj, self.version)
        table.objects[name] = stored
        table.spaces.setdefault(name[0], set()).add(name[1])
        self._tell(table, Change("ADDED" if before is None else "MODIFIED", key, stored, before))
        return stored

    def remove(self, key: str, namespace: str, name: str) -> Stored:
        """Forget the object. Return its last state, at the version of the removal."""
        table = self._table(key)
        before = table.objects.pop((namespace, name))
        table.spaces[namespace].discard(name)
        self.version += 1
        last = {**before.obj, "metadata": {**before.obj["metadata"], "resourceVersion": str(self.version)}}
        stored = Stored(last, self.version)
        self._tell(table, Change("DELETED", key, stored, before))
        return stored

    def _tell(self, table: _Table, change: Change) -> None:
        if len(table.history) == HISTORY:
            table.forgotten = table.history[0].version
        table.history.append(change)
        for listener in (*table.listeners, *self._listeners):
            listener(change)

    def since(self, key: str, version: int) -> list[Change]:
        """Return the kind's changes after a version. 410 Expired where the history doesn't reach that far."""
        table = self._table(key)
        if version < table.forgotten or version < FIRST_VERSION or version > self.version:
            raise expired(f"too old resource version: {version} ({self.version})")
        return [change for change in table.history if change.version > version]

    def subscribe(self, listener: Listener, key: str | None = None) -> Callable[[], None]:
        """Call the listener at each change, of one kind or of all. Return what ends that."""
        listeners = self._listeners if key is None else self._table(key).listeners
        listeners.append(listener)
        return lambda: listeners.remove(listener)

    def drop(self, key: str) -> None:
        """Forget a kind that is served no longer."""
        self._tables.pop(key, None)
