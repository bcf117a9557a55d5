"""The class operand, read: a version in a custom resource, whose operator rolls the pods that it makes of it.

The commit itself starts it. What the resource says of itself proves nothing: its workloads must carry the version, and
run it everywhere, ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from knowngood.adapters.cluster.reader import scalar_at
from knowngood.adapters.kubernetes.client import Kube, Object
from knowngood.adapters.movers import rollout
from knowngood.model.errors import UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.finding import Finding, refused
from knowngood.model.matrix import Cluster
from knowngood.model.mover import FleetState, Look, Moving
from knowngood.model.node import Leftover
from knowngood.planner.moving import shown, version_of
from knowngood.planner.readiness.declaring import TROUBLE


@dataclass(frozen=True)
class Operand:
    """One component, by the object that declares it."""

    kube: Kube
    space_of: Callable[[str], str]  # an operator's namespace, by its component
    at: ObjectRef
    moving: Moving

    @classmethod
    def of(cls, kube: Kube, space_of: Callable[[str], str], moving: Moving) -> Operand:
        """UsageError where no object that its mover knows declares it."""
        at = moving.declared_by
        if at is None or at.kind not in moving.spec.fields or not moving.spec.workloads:
            known = " or ".join(sorted(moving.spec.fields))
            raise UsageError(
                f"{moving.component} is declared by {at or 'nothing'}, not by {known}",
                hint="see the cluster file's declare",
            )
        return cls(kube, space_of, at, moving)

    def declaring(self) -> Object | None:
        """The object, live."""
        at = self.at
        return self.kube.find(self.kube.locate(at.api_version, at.kind, at.name, at.namespace))

    def asks_otherwise(self, obj: Object, version: str) -> str:
        """Which field of it does not ask for this version, or that it goes; "" where all do."""
        if rollout.ending(obj):
            return f"{self.at} is being deleted"
        for path, wanted in shown(self.moving.spec, self.at.kind, version).items():
            if (found := scalar_at(obj, path)) != wanted:
                return f"{self.at} has {path} {found or 'not set'}, not {wanted}"
        return ""

    def late(self, version: str) -> Iterator[str]:
        """Which of its workloads does not run this version everywhere."""
        for one in self.moving.spec.workloads:
            name = one.name.replace("{object}", self.at.name)
            space = self.at.namespace or self.space_of(one.operator)
            live = rollout.find(self.kube, one.kind, space, name)
            if live is None:
                yield f"{one.kind} {space}/{name} is not there"
                continue
            image = rollout.image_of(live, one.container)
            if not rollout.is_of(image, version):
                yield f"{one.kind} {space}/{name} has {image or f'no container {one.container}'}"
            elif why := rollout.late(self.kube, one.kind, live):
                yield why
            elif rollout.idle(one.kind, live):
                yield f"{one.kind} {space}/{name} wants no pod, so nothing shows that it runs"


class Operands:
    """Components that operators make of a field in their custom resources."""

    def __init__(self, kube: Kube, cluster: Cluster) -> None:
        self._kube = kube
        self._cluster = cluster

    def state(self, moving: Moving) -> FleetState:
        """What the object asks for, and that version where all of it runs."""
        operand = Operand.of(self._kube, self._cluster.namespace_of, moving)
        obj = operand.declaring()
        if obj is None:
            return FleetState(trouble=f"there is no {operand.at}")
        if rollout.ending(obj):
            return FleetState(trouble=f"{operand.at} is being deleted")
        kind = operand.at.kind
        try:
            declared = version_of(moving.spec, kind, {p: scalar_at(obj, p) for p in moving.spec.fields[kind]})
        except UsageError as error:
            return FleetState(trouble=error.message)
        why = "; ".join(operand.late(declared)) if declared else "it names no version"
        return FleetState(declared, "" if why else declared, (), why, why)

    def ready(self, moving: Moving, *, undo: bool) -> Sequence[Finding]:
        """Whether the version before runs whole: a revert leads back to what ran, and needs no more."""
        operand = Operand.of(self._kube, self._cluster.namespace_of, moving)
        obj = operand.declaring()
        if obj is None:
            return [
                refused(str(operand.at), "there is none on this cluster", "see the cluster file's declare")
            ]
        if undo:
            return ()
        why = operand.asks_otherwise(obj, moving.before) or "; ".join(operand.late(moving.before))
        hint = "mend it, or wait until its operator is done; then plan again"
        what = f"{moving.component} {moving.before} does not run whole: {why}"
        return [refused(str(operand.at), what, hint, passes=True)] if why else ()

    def look(self, moving: Moving) -> Look:
        """See `following`."""
        return following(self._kube, self._cluster.namespace_of, moving)

    def residue(self, moving: Moving) -> Sequence[Leftover]:
        """Nothing: its operator owns all that it made."""
        return ()


def following(kube: Kube, space_of: Callable[[str], str], moving: Moving) -> Look:
    """Whether the object asks for it, and each of its workloads is new and ready."""
    operand = Operand.of(kube, space_of, moving)
    obj = operand.declaring()
    if obj is None:
        return Look(waiting=f"there is no {operand.at}")
    if why := operand.asks_otherwise(obj, moving.after):
        return Look(waiting=why)
    late = [*operand.late(moving.after)]
    if not late:
        return Look(done=f"{len(moving.spec.workloads)} workloads run {moving.after}")
    return Look(waiting="; ".join([*late, *_said(obj)]))


def _said(obj: Object) -> Iterator[str]:
    """What its operator says against it."""
    for condition in (obj.get("status") or {}).get("conditions") or ():
        if condition.get("type") in TROUBLE and condition.get("status") == "True":
            yield f"{obj['kind']}: {condition.get('reason', '')}: {condition.get('message', '')}"
