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


Place = tuple[str, str, ObjectRef]
"""File, path and object."""


@dataclass(frozen=True, slots=True)
class Field(Sparse):
    """One scalar of one file in the GitOps repository, by which a component is declared; `path` is dotted.

    `written`: where in the file it stands, if that is not `path`: in a chart's values, in an Application.
    """

    component: str
    file: str
    path: str
    object: ObjectRef
    written: str = field(default="", kw_only=True)


@dataclass(frozen=True, slots=True)
class FieldChange(Field):
    """One planned edit of a field."""

    before: str
    after: str

    @classmethod
    def of(cls, one: Field, before: str, after: str) -> FieldChange:
        """The edit of a field."""
        return cls(one.component, one.file, one.path, one.object, before, after, written=one.written)

    @property
    def place(self) -> Place:
        """What no other edit is of: a file may hold several objects."""
        return (self.file, self.path, self.object)

    def inverse(self) -> FieldChange:
        """The edit that takes this one back."""
        return replace(self, before=self.after, after=self.before)
