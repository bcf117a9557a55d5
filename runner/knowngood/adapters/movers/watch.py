"""Waiting on one node that is ours: looks until something is there, and holds the node meanwhile.

k8s-driver-manager uncordons a node before its driver is even built: cordon and taint are put back at each look.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from knowngood.adapters.cluster import actors
from knowngood.adapters.kubernetes.client import Object
from knowngood.adapters.movers.looking import Stood, until_there
from knowngood.adapters.nodes import claiming
from knowngood.adapters.nodes.batch import NodeFailed, NotTold, Task
from knowngood.adapters.waiting import working
from knowngood.model import names

T = TypeVar("T")
NOT_READY = "the node is not Ready"
UNREADABLE = "can't be read"
WORDS_OF_OTHERS = (
    UNREADABLE,
    "ImagePullBackOff",
    "ErrImagePull",
    "ErrImageNeverPull",
    "InvalidImageName",
    "RegistryUnavailable",
)
"""Words in a state that says nothing of what moves: it was not to be read, or the image was not to be had."""


class Watch:
    """One node. `node` is its object as the last look found it; `held` counts how often our hold had been taken off."""

    def __init__(self, task: Task, name: str, ends_at: float, *, cordoned: bool = True) -> None:
        """`ends_at`: on time.monotonic()'s clock. Without `cordoned` the node is held by the taint alone."""
        self._cordoned = cordoned
        self._task = task
        self._name = name
        self._ends_at = ends_at
        self._seen: Object | None = None
        self.held = 0

    @property
    def node(self) -> Object:
        """Read before the first look only where somebody asks for it then."""
        if self._seen is None:
            self._seen = self._task.held(self._name)
        return self._seen

    def until(
        self,
        look: Callable[[], tuple[T | None, str]],
        what: str,
        *,
        later: bool = False,
        age: float = 0.0,
    ) -> T:
        """Look until it is there. NodeFailed when one state lasts longer than its age limit, or time is over.

        A look returns what it found, or None and the state. `later`: it can't be there yet, so the first waits. `age`:
        seconds that a state may last, where that is longer than others may.
        """

        def held_look() -> tuple[T | None, str]:
            self._hold()
            return look()

        limits = self._task.limits
        try:
            return until_there(
                held_look,
                age=lambda state: max(
                    age, limits.node_unreachable if state == NOT_READY else limits.operand_age
                ),
                ends_at=self._ends_at,
                tell=lambda state: self._task.tell(self._name, state),
                later=later,
            )
        except Stood as stood:
            kind = NotTold if any(word in stood.state for word in WORDS_OF_OTHERS) else NodeFailed
            raise kind(f"{what}: {stood}") from None

    def _hold(self) -> None:
        """Re-read the claim; put cordon and taint back where they are gone."""
        self._seen = self._task.held(self._name)
        with working():
            self._put_back()

    def _put_back(self) -> None:
        tainted = any(t["key"] == names.MAINTENANCE_TAINT for t in actors.taints(self.node))
        if not self._cordoned:  # whoever cordons it now is the one who works there
            if not tainted and claiming.hold(self._task, self._name, self.node, cordoned=None):
                self.held += 1
        elif not (tainted and self.node["spec"].get("unschedulable")) and claiming.hold(
            self._task, self._name, self.node
        ):
            self.held += 1
            self._task.tell(self._name, "cordoned again: somebody had lifted our cordon")
