"""One watch a kind, shared by all behaviours: the newest known objects, and callbacks on change.

A behaviour reads its own writes: an answer of the API is noted at once, and an older event that arrives later
does not undo it. Objects in the cache are shared: never change one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import aiohttp

from knowngood.twin.behaviours import indices
from knowngood.twin.behaviours.indices import Indices, Place, places_of
from knowngood.twin.behaviours.kube import POD, Key, Kind, key_of, kind_of, uid_of
from knowngood.twin.client import Client, ClientError
from knowngood.twin.values import Object

Listener = Callable[[str, Object], None]

RECONNECT_S = 0.2


class Cache:
    """Follows kinds for ever; `ensure` starts one and returns when its first list is in."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._objects: dict[Kind, dict[Key, Object]] = {}
        self._indices = Indices()
        self._gone: set[str] = set()  # uids whose deletion we know of and the watch has not told yet
        self._listeners: dict[Kind, list[Listener]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._synced: dict[Kind, asyncio.Event] = {}
        self._next: dict[Place, asyncio.Event] = {}

    async def changed(self, place: Place) -> None:
        """Wait for the next change of any object that is, or was, in a place."""
        await self._next.setdefault(place, asyncio.Event()).wait()

    def listen(self, kind: Kind, listener: Listener) -> None:
        """Call listener(ADDED|MODIFIED|DELETED, object) on each change, from now on."""
        self._listeners.setdefault(kind, []).append(listener)

    async def ensure(self, *kinds: Kind) -> None:
        """Follow these kinds and wait until each was listed once."""
        for kind in kinds:
            if kind not in self._synced:
                self._synced[kind] = asyncio.Event()
                self._objects[kind] = {}
                self._tasks.append(asyncio.create_task(self._follow(kind), name=f"follow {kind[1]}"))
        for kind in kinds:
            await self._synced[kind].wait()

    async def stop(self) -> None:
        """End all watches."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def all(self, kind: Kind, namespace: str | None = None) -> list[Object]:
        """All objects of a kind, or those of one namespace."""
        if namespace is None:
            return list(self._objects[kind].values())
        return self._indices.at((kind, indices.NAMESPACE, namespace))

    def owned(self, kind: Kind, owner: Object) -> list[Object]:
        """The objects of a kind that `owner` controls."""
        return self._indices.at((kind, indices.OWNER, uid_of(owner)))

    def pods_on(self, node: str) -> list[Object]:
        """The pods bound to a node."""
        return self._indices.at((POD, indices.NODE, node))

    def gang(self, namespace: str, group: str) -> list[Object]:
        """The pods of a PodGroup."""
        return self._indices.at((POD, indices.GROUP, (namespace, group)))

    def get(self, kind: Kind, name: str, namespace: str = "") -> Object | None:
        """One object, or None."""
        return self._objects[kind].get((namespace, name))

    def note(self, obj: Object) -> None:
        """Take over what the API answered to a write of ours."""
        if kind_of(obj) in self._objects:
            self._take("MODIFIED", obj)

    def forget(self, obj: Object) -> None:
        """An object of ours is gone: do not wait for the watch to say so."""
        if kind_of(obj) in self._objects and self._known(obj):
            self._gone.add(uid_of(obj))
            self._drop(obj)

    async def _follow(self, kind: Kind) -> None:
        while True:
            try:
                listing = await self._client.list(kind)
                self._replace(kind, listing.items)
                self._synced[kind].set()
                version = listing.resource_version
                while True:
                    version = await self._watch(kind, version)
            except ClientError as error:
                if error.code != 410:
                    await asyncio.sleep(RECONNECT_S)
            except (aiohttp.ClientError, TimeoutError):
                await asyncio.sleep(RECONNECT_S)

    async def _watch(self, kind: Kind, version: str) -> str:
        """Take events until the server ends the watch; returns the version to go on from."""
        try:
            async with contextlib.aclosing(self._client.watch(kind, resource_version=version)) as events:
                async for event, obj in events:
                    version = obj["metadata"]["resourceVersion"]
                    if event != "BOOKMARK":
                        self._take(event, obj)
        except (aiohttp.ClientError, TimeoutError):
            await asyncio.sleep(RECONNECT_S)
        return version

    def _replace(self, kind: Kind, items: list[Object]) -> None:
        present = {uid_of(item) for item in items}
        for obj in list(self._objects[kind].values()):
            if uid_of(obj) not in present:
                self._drop(obj)
        for item in items:
            self._take("MODIFIED", item)

    def _take(self, event: str, obj: Object) -> None:
        if event == "DELETED":
            self._gone.discard(uid_of(obj))
            if self._known(obj):
                self._drop(obj)
            return
        if uid_of(obj) in self._gone:
            return
        store = self._objects[kind_of(obj)]
        before = store.get(key_of(obj))
        if before is not None and _version(before) >= _version(obj):
            return
        if before is not None and uid_of(before) != uid_of(obj):
            self._drop(before)
            before = None
        store[key_of(obj)] = obj
        if before:
            self._indices.leave(before, obj)
        self._indices.put(obj)
        self._tell("MODIFIED" if before else "ADDED", obj, before)

    def _known(self, obj: Object) -> bool:
        stored = self._objects[kind_of(obj)].get(key_of(obj))
        return stored is not None and uid_of(stored) == uid_of(obj)

    def _drop(self, obj: Object) -> None:
        known = self._objects[kind_of(obj)].pop(key_of(obj))
        self._indices.leave(known)
        self._tell("DELETED", obj, known)

    def _tell(self, event: str, obj: Object, before: Object | None) -> None:
        for listener in self._listeners.get(kind_of(obj), ()):
            listener(event, obj)
        if self._next:
            for place in {*places_of(obj), *(places_of(before) if before else ())}:
                if waiting := self._next.pop(place, None):
                    waiting.set()


def _version(obj: Object) -> int:
    """Opaque by contract, a growing number in every server we meet."""
    text = str(obj["metadata"].get("resourceVersion", "0"))
    return int(text) if text.isdigit() else 0
