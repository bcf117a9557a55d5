"""What was read of a cluster, and what was not. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from knowngood.model.matrix import Identity
from knowngood.model.values import Object


@dataclass(frozen=True, slots=True)
class Machine:
    """A node from inside: DMI product, PCI devices (`vendor:device` -> how many), what runs; `trouble`: why not."""

    product: str = ""
    gpus: Mapping[str, int] = field(default_factory=dict)
    nics: Mapping[str, int] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """An object in a file of the GitOps repository, with its scalars: dotted path -> text. `patch`: a patch of it.

    `written`: path -> where in the file it stands, if that is not the path. Values of a chart have the kind VALUES.
    """

    path: str
    kind: str
    name: str
    namespace: str
    texts: Mapping[str, str]
    patch: bool = False
    written: Mapping[str, str] = field(default_factory=dict)


VALUES = "Values"
"""No kind of Kubernetes: a file of values in a chart's folder."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """What lies in a checkout. `unread`: file -> why. `reads`: an Application's folder -> its kustomization's files.

    `others`: file -> overlays that read it too and are no Application's here.
    """

    files: tuple[File, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    reads: Mapping[str, frozenset[str]] = field(default_factory=dict)
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seen:
    """Objects by kind; a kind that the cluster does not serve has none.

    `unread`: kind, node or file -> why it was not read; nothing is told of what it would say. `files` is None where no
    checkout was given; `reads` and `others` are its, too.
    """

    objects: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    machines: Mapping[str, Machine] = field(default_factory=dict)
    files: tuple[File, ...] | None = None
    identity: Identity | None = None
    reads: Mapping[str, frozenset[str]] = field(default_factory=dict)
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def of(self, kind: str) -> tuple[Object, ...]:
        """All objects of a kind."""
        return self.objects.get(kind, ())

    def read(self, kind: str) -> bool:
        """Whether it is known which objects of a kind there are."""
        return kind not in self.unread


@dataclass(frozen=True, slots=True)
class Version:
    """One component's version, as it was seen and where."""

    text: str
    how: str


@dataclass
class Told:
    """What is known in the end. `values`: those of a cluster file, of which some may be missing.

    `questions`: key of the cluster file -> what a human must say. `how`: key -> where it was seen. `draft`: a profile
    where none fits.
    """

    values: Object = field(default_factory=dict)
    how: dict[str, str] = field(default_factory=dict)
    questions: dict[str, list[str]] = field(default_factory=dict)
    versions: dict[str, Version] = field(default_factory=dict)
    draft: Object = field(default_factory=dict)

    def ask(self, key: str, question: str) -> None:
        """Leave something to a human."""
        self.questions.setdefault(key, []).append(question)

    def tell(self, key: str, value: object, how: str) -> None:
        """A value, and where it was seen."""
        self.values[key] = value
        self.how[key] = how


def name_of(obj: Object) -> str:
    """An object's name."""
    return str(obj["metadata"]["name"])


def space_of(obj: Object) -> str:
    """An object's namespace, "" for none."""
    return str(obj["metadata"].get("namespace") or "")


def labels_of(obj: Object) -> Mapping[str, str]:
    """An object's labels."""
    return obj["metadata"].get("labels") or {}
