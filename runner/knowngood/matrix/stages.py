"""The fleet's file as values."""

from __future__ import annotations

from knowngood.matrix.documents import Document
from knowngood.model.stages import Stage


def stages(document: Document | None) -> tuple[Stage, ...]:
    """Its stages in order; none where there is no such file, or its schema found something."""
    if document is None or not document.valid:
        return ()
    return tuple(
        Stage(s["name"], tuple(s["clusters"]), s.get("atOnce", 1), document.at("stages", index))
        for index, s in enumerate(document.value["stages"])
    )
