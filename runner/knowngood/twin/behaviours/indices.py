"""What the cache finds objects by, besides their name, so that who asks for a few does not look at all."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping

from knowngood.twin.behaviours.kube import (
    GROUP_ANNOTATION,
    POD,
    Key,
    Kind,
    annotations_of,
    controller_of,
    key_of,
    kind_of,
    namespace_of,
    node_of,
)
from knowngood.twin.values import Object

NAMESPACE = "namespace"
OWNER = "owner"  # by the uid of what controls it
NODE = "node"  # by the name of the node it is bound to
GROUP = "group"  # by namespace and PodGroup

Place = tuple[Kind, str, Hashable]
"""One entry of an index: a kind, the index, the value."""

_Value = Callable[[Object], Hashable | None]


def _owner(obj: Object) -> Hashable | None:
    owner = controller_of(obj)
    return owner["uid"] if owner else None


def _group(pod: Object) -> Hashable | None:
    group = annotations_of(pod).get(GROUP_ANNOTATION)
    return (namespace_of(pod), group) if group else None


_EVERY: Mapping[str, _Value] = {NAMESPACE: namespace_of, OWNER: _owner}
_OF_PODS: Mapping[str, _Value] = {**_EVERY, NODE: lambda pod: node_of(pod) or None, GROUP: _group}


def places_of(obj: Object) -> Iterator[Place]:
    """Where an object is found."""
    kind = kind_of(obj)
    for name, value_of in (_OF_PODS if kind == POD else _EVERY).items():
        value = value_of(obj)
        if value is not None:
            yield kind, name, value


class Indices:
    """Objects by place. Whoever changes the objects says what was and what is."""

    def __init__(self) -> None:
        self._places: dict[Place, dict[Key, Object]] = {}

    def at(self, place: Place) -> list[Object]:
        """The objects of a place, in the order in which they came."""
        return list(self._places.get(place, {}).values())

    def put(self, obj: Object) -> None:
        """An object is there, or has become this."""
        for place in places_of(obj):
            self._places.setdefault(place, {})[key_of(obj)] = obj

    def leave(self, before: Object, now: Object | None = None) -> None:
        """An object is gone, or `now` belongs elsewhere: it leaves the places that are no longer its own."""
        kept = set(places_of(now)) if now else set()
        for place in set(places_of(before)) - kept:
            held = self._places.get(place, {})
            held.pop(key_of(before), None)
            if not held:
                self._places.pop(place, None)
