"""What a node says was begun at its BMC."""

from __future__ import annotations

from knowngood.adapters.cluster.actors import annotation
from knowngood.adapters.nodes.batch import NotTold
from knowngood.model.names import FLASH_ANNOTATION
from knowngood.model.values import Object
from knowngood.planner.flash import Begun, begun_in


def begun_of(node: Object) -> Begun | None:
    """What was begun at its BMC. NotTold where that can't be read: it would be begun a second time."""
    try:
        return begun_in(annotation(node, FLASH_ANNOTATION))
    except ValueError as error:
        raise NotTold(
            f"annotation {FLASH_ANNOTATION} can't be read: look at its BMC, then take it off"
        ) from error
