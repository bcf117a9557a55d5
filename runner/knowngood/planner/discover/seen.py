"""What was read of a cluster, and what was not. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from knowngood.model.gitops import Affix
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
    `called`: what it is there, where kustomize gives it the name, or a patch is of several objects.
    """

    path: str
    kind: str
    name: str
    namespace: str
    texts: Mapping[str, str]
    patch: bool = False
    written: Mapping[str, str] = field(default_factory=dict)
    called: str = ""


VALUES = "Values"
"""No kind of Kubernetes: a file of values in a chart's folder."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """A field of an object that a kustomization copies from another object, by their names in files.

    `at`: file and line of the kustomization; `file` is its path. `source`: kind, name and path there. `whole`: the
    value is all that the source's field holds.
    """

    at: str
    file: str
    kind: str
    name: str
    path: str
    source: tuple[str, str, str]
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Kustomized:
    """What kustomizations make, by the folders of Applications.

    `affixes`: folder -> file -> what is put around names in it. `made`: folder -> kind and name -> dotted path -> text,
    as kustomize renders it, and `unmade` folder -> why it could not be. `generated`: file and line of a generator of
    ConfigMaps -> the keys and texts that it writes.
    """

    affixes: Mapping[str, Mapping[str, frozenset[Affix]]] = field(default_factory=dict)
    replacements: tuple[Replacement, ...] = ()
    made: Mapping[str, Mapping[tuple[str, str], Mapping[str, str]]] = field(default_factory=dict)
    unmade: Mapping[str, str] = field(default_factory=dict)
    generated: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Checkout:
    """What lies in a checkout. `unread`: file -> why. `reads`: an Application's folder -> its kustomization's files.

    `others`: file -> overlays that read it too and are no Application's here.
    """

    files: tuple[File, ...] = ()
    unread: Mapping[str, str] = field(default_factory=dict)
    reads: Mapping[str, frozenset[str]] = field(default_factory=dict)
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kustomized: Kustomized = field(default_factory=Kustomized)


@dataclass(frozen=True, slots=True)
class Place:
    """A component's version in one object of one file; the file has the object by its name in the cluster."""

    component: str
    file: File
    path: str
    api_version: str
    application: Object


@dataclass(frozen=True, slots=True)
class Seen:
    """Objects by kind; a kind that the cluster does not serve has none.

    `unread`: kind, node or file -> why it was not read; nothing is told of what it would say. `files` is None where no
    checkout was given; `reads`, `others` and `kustomized` are its, too.
    """

    objects: Mapping[str, tuple[Object, ...]] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
    machines: Mapping[str, Machine] = field(default_factory=dict)
    files: tuple[File, ...] | None = None
    identity: Identity | None = None
    reads: Mapping[str, frozenset[str]] = field(default_factory=dict)
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    kustomized: Kustomized = field(default_factory=Kustomized)

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
