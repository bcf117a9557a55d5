"""A field in Git and the live object that carries it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from knowngood.model.jsonable import AS, Sparse


@dataclass(frozen=True, slots=True)
class ObjectRef(Sparse):
    """A live object by its kind; no `namespace`: it belongs to the cluster, or its own kind says where."""

    api_version: str = field(metadata={AS: "apiVersion"})
    kind: str
    name: str
    namespace: str = ""

    def of_ring(self, ring: str) -> ObjectRef:
        """The object of one ring: `{ring}` in its name stands for the ring's."""
        return replace(self, name=self.name.replace("{ring}", ring))

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Field:
    """One scalar of one file in the GitOps repository, by which a component is declared; `path` is dotted."""

    component: str
    file: str
    path: str
    object: ObjectRef


@dataclass(frozen=True, slots=True)
class FieldChange(Field):
    """One planned edit of a field."""

    before: str
    after: str

    def inverse(self) -> FieldChange:
        """The edit that takes this one back."""
        return replace(self, before=self.after, after=self.before)
