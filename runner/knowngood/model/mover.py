"""How a component moves: its mover, as its file says and as record 0 freezes it. The engine knows no other way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from knowngood.model.field import ObjectRef

CLASSES = frozenset(
    {
        "chart",
        "cluster-version",
        "daemon-driver",
        "label",
        "machine-config",
        "nic-firmware",
        "olm-v0",
        "olm-v1",
        "operand",
        "redfish",
        "sriov",
        "talosctl",
    }
)
"""The classes that this version can move; each is one file in adapters/movers."""


HOLDS = frozenset({"machine-config-pool", "health-checks", "cluster-autoscaler", "alerts"})
"""Whose work on nodes can be paused while they are out; of alerts: who is told of them."""


class Starts(StrEnum):
    """What starts the change on a node."""

    RESTART = "restart"  # we do, after the commit, which disturbs nobody yet
    DECLARE = "declare"  # the commit itself
    APPROVE = "approve"  # our approval of what the commit asked for


class Hold(StrEnum):
    """How a node is held while it is out."""

    CORDON = "cordon"  # by cordon and taint
    TAINT = "taint"  # by the taint alone: others must still schedule there


class Again(StrEnum):
    """How what was proven is loaded a second time, since many faults show only then."""

    RELOAD = "reload"  # out and in again on the same boot
    REBOOT = "reboot"


REBOOTS: frozenset[str] = frozenset()
"""The classes that can boot a node anew where nothing is to be changed; none can yet."""

SYSTEMS = frozenset({"talosctl"})
"""The classes that have a machine take another system, by a boot that we ask for: no controller of the cluster does."""

TOGETHER = frozenset({"machine-config"})
"""The classes that let a ring's nodes go by one object for all of them: together, or none."""

IN_TURNS = frozenset({"machine-config", "nic-firmware", "redfish", "sriov"})
"""The classes in which a batch's nodes wait for one another, a few at a time: the last comes after all the others."""


@dataclass(frozen=True, slots=True)
class Pods:
    """The pods whose start brings the version to a node, in their operator's namespace.

    `operator`: by its component's name, "" for the GPU operator. `state`: the file in which the container keeps what it
    has loaded; while that is wanted again it loads nothing.
    """

    label: str  # key=value
    container: str
    operator: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Proof:
    """What proves an arrival: a kernel module's line in the kernel log.

    `log` are words that each such line has, to ask for those lines only; `banner` is the line as a regular
    expression, with a group `version` unless the mover `shows` how the version is told.
    """

    module: str
    log: str
    banner: str


class Seen(StrEnum):
    """What shows on a node that what its label asks for has come."""

    PARTED = "parted"  # the driver's MIG devices are the layout's, and are offered
    SHARED = "shared"  # each GPU is offered as often as the device plugin's configuration says


@dataclass(frozen=True, slots=True)
class NodeLabel:
    """The node's label whose value is the version. We write it once the node is ours and empty: no Git has Nodes.

    `state`: the label in which its operator says how far it is, "" where it says nothing. `none`: what a node without
    the label has. `owner`: the pods' label of who acts on it, for people.
    """

    name: str
    seen: Seen
    owner: str
    state: str = ""
    none: str = ""


class Firmware(StrEnum):
    """Whose firmware a BMC is given, in the words of Redfish. We ask it to: no controller of the cluster does."""

    SYSTEM = "system"  # a ComputerSystem's, by its BiosVersion; it comes with a boot
    MANAGER = "manager"  # the BMC's own, by its FirmwareVersion; it starts anew for it, and the host runs on


@dataclass(frozen=True, slots=True)
class Shown:
    """What shows a version on a node: files, path -> words in it. `{version}`: the first file's first line."""

    version: str
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Words:
    """What people call it: `it` is what starts anew (a driver), `does` and `undoes` what is done to a node."""

    it: str
    does: str
    undoes: str


@dataclass(frozen=True, slots=True)
class Workload:
    """What an operator makes of a custom resource, and which container's image is the version.

    `name`: `{object}` in it stands for the resource's. It is in the resource's namespace, or in the operator's.
    """

    kind: str  # DaemonSet, Deployment, StatefulSet
    name: str
    container: str
    operator: str = ""


@dataclass(frozen=True, slots=True)
class Instead:
    """Another class by which a component moves where an object of another kind declares it."""

    kind: str  # the class
    starts: Starts


PLAIN = Words("what moves", "bring the new versions", "bring the versions that were there before")
"""Where nobody says it better."""


def joined(words: Sequence[Words]) -> Words:
    """The words of several, as of one."""
    return Words(
        *(" and ".join(dict.fromkeys(getattr(w, part) for w in words)) for part in ("it", "does", "undoes"))
    )


@dataclass(frozen=True, slots=True)
class MoverSpec:
    """A component's mover.

    `fields` maps the kind of a declaring object to its fields, dotted path -> text in which `{version}` stands for the
    version; `values` maps versions that are settings to the text that stands for them. `users` are those who must leave
    a node first: `gpu`, `rdma`, `all` where it boots. `holds` names whose work is paused while nodes are out: HOLDS.
    `require` maps kinds to fields that must have these texts, in Git and live, before anything starts. `settles` are
    components whose pods its move makes anew on every node.

    `order` is its turn on a node within a hop, the smallest first. `beside`: the component in whose pods it is, and
    with whose restart it comes; its pods and proof are that one's. `shows` is how files of a node tell what runs, the
    first that fits; without it the line in the kernel log does. `scheme`: how a running version compares. `guards`
    name what must not hang on its module when a node is taken: `uplink`, `storage`. `again`: which second load would
    show its latent faults. `label`: the node's label by which it comes. `workloads`: what runs it, where an operator
    makes that of a field. `delivers`: it brings what Git declares, so every way back is by it, its own too. `instead`
    maps kinds of declaring objects to the class by which it moves there, where that is another. `eases` maps kinds to
    what fields that it `require`s have while it goes back: written before its revert, and taken back after it.
    `firmware`: whose it is, where a BMC brings it.
    """

    kind: str = ""  # its class
    starts: Starts = Starts.RESTART
    hold: Hold = Hold.CORDON
    users: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    require: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    pods: Pods | None = None
    proof: Proof | None = None
    words: Words = PLAIN
    settles: tuple[str, ...] = ()
    order: int = 0
    beside: str = ""
    shows: tuple[Shown, ...] = ()
    scheme: str = ""
    guards: tuple[str, ...] = ()
    again: Again | None = None
    label: NodeLabel | None = None
    workloads: tuple[Workload, ...] = ()
    delivers: bool = False
    firmware: Firmware | None = None
    instead: Mapping[str, Instead] = field(default_factory=dict)
    eases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def on_a_load(self) -> bool:
        """Whether no kernel line of its own dates it: it lasts as long as the GPU driver's load on which it came."""
        return self.label is not None or self.loads_anew

    @property
    def loads_anew(self) -> bool:
        """Whether we boot a machine for it, or may: every driver is loaded anew then, also one that does not move."""
        return self.firmware is not None or self.kind in SYSTEMS

    def of(self, kind: str) -> MoverSpec:
        """How it moves where an object of this kind declares it."""
        other = self.instead.get(kind)
        return replace(self, kind=other.kind, starts=other.starts, instead={}) if other else self

    @property
    def reloads(self) -> bool:
        """Whether a restart of its pods can be made to load anew what is loaded already."""
        return self.pods is not None and bool(self.pods.state)

    def understands(self, kind: str, path: str) -> bool:
        """Whether an object of this kind can declare it in this field."""
        return path in self.fields.get(kind, {})


Specs = Mapping[str, MoverSpec]
"""Component -> how it moves."""


def completed(specs: Specs) -> dict[str, MoverSpec]:
    """The movers as a plan freezes them: one beside another has what is the other's. KeyError where that is missing."""
    partly = {name for name, spec in specs.items() if spec.beside and not spec.kind}
    return {
        name: _beside(spec, specs[spec.beside]) if name in partly else spec for name, spec in specs.items()
    }


def _beside(spec: MoverSpec, other: MoverSpec) -> MoverSpec:
    return replace(
        other,
        fields=spec.fields,
        values=spec.values,
        require={**other.require, **spec.require},
        settles=spec.settles,
        beside=spec.beside,
        shows=spec.shows,
        scheme=spec.scheme,
        again=spec.again or other.again,
    )


@dataclass(frozen=True, slots=True)
class Mark:
    """One arrival of one component on one node, proven by its class.

    `at` is seconds since that boot; a new arrival on the same boot has a larger one. `digest` says the same version
    from another one's content apart, where it is known.
    """

    version: str
    boot_id: str
    at: float
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Moving:
    """One component's part of a hop, with its frozen spec. `declared_by`: the live object, where one is there.

    `reinstall`: it is removed and installed anew.
    """

    component: str
    before: str
    after: str
    spec: MoverSpec
    declared_by: ObjectRef | None = None
    reinstall: bool = False


@dataclass(frozen=True, slots=True)
class FleetState:
    """What there is of a component once a cluster.

    `declared` is what its live object asks for, `running` what runs; "" could not be read, and `trouble` says why.
    `pending` waits for an approval or a decision, `busy` says who works on it now.
    """

    declared: str = ""
    running: str = ""
    pending: tuple[str, ...] = ()
    busy: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at a fleet part on its way: exactly one of the three is set.

    `waiting` is the state in words, without anything that changes from look to look: its age is watched. `stands`:
    seconds that it may last, where that is longer than a state otherwise may.
    """

    done: str = ""
    waiting: str = ""
    failed: str = ""
    stands: float = 0.0
