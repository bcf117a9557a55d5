"""What a twin's objects become, line by line, in the form of the recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.integration.replay.recording import Line

from knowngood.twin.api.store import Change
from knowngood.twin.behaviours.daemonsets import target_node
from knowngood.twin.behaviours.kube import controller_of, name_of
from knowngood.twin.values import Object

Fields = Callable[["Names", Object], dict[str, Any]]
"""The fields of interest of one kind's object, flat: `status.state`, `labels.example.com/ring`."""


class Names:
    """Equal value, equal name: rev1, hash2, digest3; and which pod of its owner on its node a pod is."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, str]] = {}
        self._pods: dict[str, str] = {}
        self._places: dict[str, int] = {}

    def of(self, kind: str, value: str) -> str:
        """The name of a value of that kind; "" stays."""
        known = self._values.setdefault(kind, {})
        return known.setdefault(value, f"{kind}{len(known) + 1}") if value else ""

    def start(self, pods: Iterable[Object]) -> None:
        """Count pods anew."""
        self._pods.clear()
        self._places.clear()
        for pod in pods:
            self.pod(pod)

    def pod(self, pod: Object) -> str:
        """`<owner>@<node>#<n>`."""
        uid = pod["metadata"]["uid"]
        if uid not in self._pods:
            owner = controller_of(pod)
            place = f"{owner['name'] if owner else name_of(pod)}@{target_node(pod)}"
            self._places[place] = self._places.get(place, 0) + 1
            self._pods[uid] = f"{place}#{self._places[place]}"
        return self._pods[uid]


class Recorder:
    """Follows an API server's store; `kinds` says which fields of which kinds. Not those of other namespaces."""

    def __init__(self, kinds: Mapping[str, Fields], namespace: str) -> None:
        self.lines: list[Line] = []
        self.names = Names()
        self._kinds = kinds
        self._namespace = namespace
        self._seen = 0

    def edit(self, what: str) -> None:
        """Note what is done now."""
        self.lines.append({"type": "EDIT", "what": what})

    def news(self) -> int:
        """How many changes of our kinds there were so far, those that changed no field of interest too."""
        return self._seen

    def begin(self, pods: Iterable[Object]) -> None:
        """From here on. Values keep their names; of the pods that are there each is the first in its place."""
        self.lines = []
        self.names.start(pods)

    def note(self, change: Change) -> None:
        """One write."""
        obj = change.now.obj
        fields = self._kinds.get(obj["kind"])
        if fields is None:
            return
        self._seen += 1
        line: Line = {"type": change.type, "kind": obj["kind"], "name": self._name(obj)}
        space = obj["metadata"].get("namespace", "")
        if space and space != self._namespace:
            line["ns"] = space
        if obj["kind"] == "ControllerRevision" and change.type == "ADDED":
            line["of"] = (controller_of(obj) or {}).get("name", "")
        if change.type == "ADDED":
            line["set"] = {name: value for name, value in fields(self.names, obj).items() if value}
        elif change.type == "MODIFIED":
            before = fields(self.names, change.before.obj) if change.before else {}
            now = fields(self.names, obj)
            line["change"] = {
                name: [before.get(name), now.get(name)]
                for name in {**before, **now}
                if before.get(name) != now.get(name)
            }
            if not line["change"]:
                return
        self.lines.append(line)

    def _name(self, obj: Object) -> str:
        if obj["kind"] == "Pod":
            return self.names.pod(obj)
        if obj["kind"] == "ControllerRevision":
            return self.names.of("rev", name_of(obj).rpartition("-")[2])
        return name_of(obj)


def flat(value: Any, prefix: str) -> dict[str, Any]:
    """Nested dictionaries as one, lists as they are."""
    if not isinstance(value, dict):
        return {prefix: value}
    found: dict[str, Any] = {}
    for name, inner in value.items():
        found |= flat(inner, f"{prefix}.{name}")
    return found


def conditions(obj: Object, limit: int = 400) -> dict[str, str]:
    """status.conditions.<type>: status, reason and message in one line."""
    entries = (obj.get("status") or {}).get("conditions") or ()
    return {
        f"status.conditions.{c['type']}": " ".join(
            part for part in (c["status"], c.get("reason", ""), c.get("message", "")) if part
        )[:limit]
        for c in entries
    }
