"""ControllerRevisions: a DaemonSet's templates of today and before, numbered; one that comes again counts up."""

from __future__ import annotations

from collections.abc import Iterable

from knowngood.twin.behaviours.census import HASH_LABEL
from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.kube import (
    CONTROLLER_REVISION,
    digest,
    labels_of,
    name_of,
    namespace_of,
    owner_reference,
    uid_of,
)
from knowngood.twin.values import Object

HISTORY = 10  # old ones that are kept, as upstream's revisionHistoryLimit


def revision(daemon_set: Object) -> str:
    """The hash of its pod template, as on its pods' label."""
    return digest(daemon_set["spec"]["template"])


def newest(known: Iterable[Object]) -> str:
    """The hash of the newest of a DaemonSet's revisions, whoever made them; "" before there is one."""
    last = max(known, key=lambda one: int(one["revision"]), default=None)
    return str(labels_of(last).get(HASH_LABEL, "")) if last else ""


class Revisions:
    """Keeps them. What was made current last is known, so that asking again costs nothing."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._current: dict[str, tuple[int, str]] = {}  # DaemonSet's uid -> generation and hash

    async def keep(self, daemon_set: Object) -> str:
        """Make the present template the newest revision; returns its hash."""
        uid, generation = uid_of(daemon_set), int(daemon_set["metadata"].get("generation", 1))
        seen, current = self._current.get(uid, (0, ""))
        if seen >= generation:
            return current
        wanted = revision(daemon_set)
        known = sorted(
            self._twin.cache.owned(CONTROLLER_REVISION, daemon_set), key=lambda one: int(one["revision"])
        )
        newest = int(known[-1]["revision"]) if known else 0
        found = next((one for one in known if one["metadata"]["labels"][HASH_LABEL] == wanted), None)
        if found is None:
            await self._make(daemon_set, wanted, newest + 1)
            known = [one for one in known if one["metadata"]["labels"][HASH_LABEL] != wanted]
            for old in known[: max(0, len(known) - HISTORY)]:
                await self._twin.api.delete(old)
        elif int(found["revision"]) < newest:
            await self._twin.api.patch(found, {"revision": newest + 1})
        self._current[uid] = (generation, wanted)
        return wanted

    async def _make(self, daemon_set: Object, wanted: str, number: int) -> None:
        template = {**daemon_set["spec"]["template"], "$patch": "replace"}
        obj = {
            "apiVersion": "apps/v1",
            "kind": "ControllerRevision",
            "metadata": {
                "name": f"{name_of(daemon_set)}-{wanted}",
                "namespace": namespace_of(daemon_set),
                "labels": {**labels_of(daemon_set["spec"]["template"]), HASH_LABEL: wanted},
                "ownerReferences": [owner_reference(daemon_set)],
            },
            "data": {"spec": {"template": template}},
            "revision": number,
        }
        # 409 where one of an earlier DaemonSet of this name is still on its way out: it is tried again.
        await self._twin.api.create(obj)
