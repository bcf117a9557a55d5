"""A node's boots while something comes to it: one may be its own, a second one stops the run."""

from __future__ import annotations

from knowngood.adapters.nodes.batch import NodeFailed
from knowngood.model.values import Object


def boot_of(node: Object) -> str:
    """Which boot the kubelet told of."""
    return str(((node.get("status") or {}).get("nodeInfo") or {}).get("bootID") or "")


class Boots:
    """The boots of one node that were seen since we began to look, that one included."""

    def __init__(self, twice: str) -> None:
        self._twice = twice
        self._seen: list[str] = []

    def look(self, node: Object) -> None:
        """NodeFailed, in the words of `twice`, where it was booted a second time."""
        if (boot := boot_of(node)) and boot not in self._seen:
            self._seen.append(boot)
        if len(self._seen) > 2:
            raise NodeFailed(self._twice)
