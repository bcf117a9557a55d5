"""What the acts on a fleet part share: what they are given, how they wait, and what they ask before each write."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from knowngood.adapters.kubernetes.client import Kube, path
from knowngood.adapters.movers.looking import Stood, until_there
from knowngood.matrix.build import DEFAULT_NAMESPACES
from knowngood.model import names
from knowngood.model.errors import CouldNot, LockHeld, Refused
from knowngood.model.matrix import Limits
from knowngood.model.mover import Look, Moving

T = TypeVar("T")


@dataclass(frozen=True)
class FleetTask:
    """One act. `key` is `<run>/...` and the same in each try; `tell(text)` reports progress."""

    kube: Kube
    key: str
    limits: Limits = field(default_factory=Limits)
    tell: Callable[[str], None] = lambda _text: None
    namespaces: Mapping[str, str] = field(default_factory=lambda: DEFAULT_NAMESPACES)

    def space_of(self, operator: str) -> str:
        """The namespace of an operator, by its component's name; the GPU operator's for any that is not named."""
        return self.namespaces.get(operator) or self.namespaces["gpu-operator"]

    @property
    def run(self) -> str:
        """The run's id."""
        return self.key.partition("/")[0]

    def alone(self) -> None:
        """LockHeld where another run holds the cluster: asked right before a write. By hand nobody holds it."""
        lease = self.kube.find(path("coordination.k8s.io/v1", "leases", names.LEASE, names.NAMESPACE))
        holder = str(((lease or {}).get("spec") or {}).get("holderIdentity") or "")
        if holder not in ("", self.run):
            raise LockHeld(f"{holder} holds the cluster, not {self.run}", hint="see knowngood status")

    def until(self, look: Callable[[], tuple[T | None, str]], what: str, hint: str = "") -> T:
        """Look until it is there. CouldNot when one state lasts longer than its age limit, or time is over."""
        try:
            return until_there(
                look,
                age=lambda _state: self.limits.operand_age,
                ends_at=time.monotonic() + self.limits.apply,
                tell=self.tell,
            )
        except Stood as stood:
            raise CouldNot(f"{what}: {stood}", hint=hint) from None

    def follow(self, look: Callable[[], Look], what: str, hint: str) -> str:
        """Look until it is done: what a commit has started, by hand. A look's own `stands` counts, as in a run."""
        last = Look()

        def looked() -> tuple[str | None, str]:
            nonlocal last
            last = look()
            return last.done or last.failed or None, last.waiting

        try:
            said = until_there(
                looked,
                age=lambda _state: max(self.limits.operand_age, last.stands),
                ends_at=time.monotonic() + self.limits.settle,
                tell=self.tell,
            )
        except Stood as stood:
            raise CouldNot(f"{what}: {stood}", hint=hint) from None
        if last.failed:
            raise Refused(f"{what}: {said}", hint=hint)
        return said


class FleetActor(Protocol):
    """What a class does once a cluster, beside what Git does; idempotent. Returns what was done, or "".

    Refused where what is there is not what the move names; CouldNot where it can't be told.
    """

    def start(self, task: FleetTask, moving: Moving) -> str:
        """See ports.fleet."""
        ...

    def back(self, task: FleetTask, moving: Moving) -> str:
        """See ports.fleet."""
        ...
