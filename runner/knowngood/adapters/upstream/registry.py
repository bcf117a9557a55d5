"""The registry of a cluster whose file names none: every image is told as not proven."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from knowngood.ports.registry import PRESENT, Images, Looked, Registry

NOT_ASKED = "no registry was asked: the cluster file has no `registry`"


class UnaskedRegistry(Registry):
    """Says of every image that nobody knows, so that a run shows what it did not prove."""

    def look(
        self, nodes: Sequence[str], running: Sequence[str], versions: Mapping[str, str]
    ) -> Mapping[str, Looked]:
        """See the port."""
        return {PRESENT: Looked(tuple(running), Images(unproven=dict.fromkeys(running, NOT_ASKED)))}
