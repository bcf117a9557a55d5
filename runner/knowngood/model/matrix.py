"""The matrix as values: components, releases, rules, profiles, clusters. `matrix.load` reads them from files.

Versions are text, always. Durations are seconds (float), sizes are named in the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from knowngood.model.alerts import NONE, Alertmanager
from knowngood.model.bmcs import UNASKED, Bmcs
from knowngood.model.declared import DeclaredBy, Scope
from knowngood.model.errors import Location
from knowngood.model.field import Field
from knowngood.model.gitops import GitOps
from knowngood.model.graph import Edges
from knowngood.model.mover import CLASSES, MoverSpec, Specs
from knowngood.model.parts import ComputeNics, Waiver
from knowngood.model.probe_pod import PodNeeds, PodSite
from knowngood.model.pulling import Pulling
from knowngood.model.reading import Reading
from knowngood.model.source import Source
from knowngood.model.stages import Stage
from knowngood.model.values import Values


class Disruption(StrEnum):
    """What a move of a component takes from a node, mildest first."""

    NONE = "none"
    PODS = "pods"
    DRAIN = "drain"
    REBOOT = "reboot"
    POWER_CYCLE = "power-cycle"


class UndoClass(StrEnum):
    """How a hop can be undone."""

    REVERT = "revert"
    REVERT_DISRUPTIVE = "revert-disruptive"
    PROCEDURE = "procedure"
    FORWARD_ONLY = "forward-only"


class ReleaseStatus(StrEnum):
    """A release's status."""

    CANDIDATE = "candidate"
    REHEARSED = "rehearsed"
    KNOWN_GOOD = "known-good"
    REVOKED = "revoked"
    DEPRECATED = "deprecated"


class Severity(StrEnum):
    """What a broken rule means."""

    BLOCK = "block"
    WARN = "warn"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Follows:
    """A version that another component's version implies: range of `component` -> the version here."""

    component: str
    versions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Component:
    """One thing with a version. `mover` says how it moves; without one it is read and judged.

    `judged_only`: it is read and judged, and never moved by this product. `moves_with` are the components that may
    move in the same hop, because one drain or reboot serves them all. `procedure` says how a move is undone where
    a Git revert is not enough.
    """

    name: str
    title: str
    scheme: str  # how versions compare: one of planner.version.SCHEMES
    disruption: Disruption
    undo: UndoClass
    sources: tuple[Source, ...]
    where: Location
    note: str = ""
    judged_only: bool = False
    procedure: str = ""
    readings: tuple[Reading, ...] = ()
    declared_by: tuple[DeclaredBy, ...] = ()
    moves_with: tuple[str, ...] = ()
    follows: Follows | None = None
    mover: MoverSpec | None = None
    reports: Mapping[str, str] = field(default_factory=dict)  # what a node says -> the version that it is

    @property
    def movable(self) -> bool:
        """Whether this version of knowngood can move it, where a cluster declares it in a way that its mover knows."""
        return self.mover is not None and self.mover.kind in CLASSES


@dataclass(frozen=True, slots=True)
class Release:
    """A row of the matrix: one exact version per component."""

    name: str
    status: ReleaseStatus
    components: Mapping[str, str]
    profiles: tuple[str, ...]
    where: Location
    reason: str = ""  # of a revocation
    supersedes: str = ""
    lines: Mapping[str, int] = field(default_factory=dict)  # component -> line, for messages
    accepts: Mapping[str, str] = field(default_factory=dict)  # rule -> why a person lives with what it says


@dataclass(frozen=True, slots=True)
class Case:
    """One row of a rule that is a table: where `when` holds too, `require` must."""

    when: Mapping[str, str]
    require: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """What one source says, where sources contradict each other."""

    require: Mapping[str, str]
    source: Source


@dataclass(frozen=True, slots=True)
class Rule:
    """A machine-checked statement: when every `when` range holds, every `require` range must.

    Both map a component to a version range (blang grammar: `>=26.7.0 <27 || 28.x`, blanks mean and);
    a component that a release does not carry makes `when` false and `require` unknown (a warning).

    `traits` narrows it to hardware and clusters: trait -> the values where it applies; a trait that is not known
    makes the rule unknown, not kept. Instead of `require` a rule may hold `cases` (a table), `claims` (a conflict of
    sources: all are required, the stricter judges, until `decided` names the claim that a person chose, by its
    source's ref), or nothing but `action`: what a person must do by hand when the rule applies.
    """

    name: str
    severity: Severity
    when: Mapping[str, str]
    require: Mapping[str, str]
    message: str
    sources: tuple[Source, ...]
    where: Location
    traits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    cases: tuple[Case, ...] = ()
    claims: tuple[Claim, ...] = ()
    decided: str = ""
    action: str = ""


@dataclass(frozen=True, slots=True)
class Profile:
    """A hardware profile: what a machine of this kind has and which gates judge it.

    `gates` maps a gate to its kind and parameters: {"kind": "active"|"passive", "backend": "cuda", ...thresholds}.
    """

    name: str
    product: str  # DMI product name
    gpus: int
    gpu_model: str
    gpu_pci_id: str
    nvswitch: bool
    nics: int
    nic_model: str
    rdma_mode: str
    gates: Mapping[str, Values]
    sources: tuple[Source, ...]
    where: Location
    # What rules ask of hardware: gpu-arch, gpu-model, ...
    traits: Mapping[str, str] = field(default_factory=dict)
    evidence_max_age_days: int = 0  # 0: the default
    # How long a node is out of service for a move of that disruption; missing: nobody knows.
    minutes_out: Mapping[Disruption, int] = field(default_factory=dict)
    # What a proof of `restored` must read beside what the fields above say, and what it may lack: planner.readings.
    mig: bool = False
    vfs: bool = False
    optional_readings: tuple[str, ...] = ()
    soak_gpu_share: float = 0.1  # of a node's GPU-seconds over the soak: the work that it must have carried
    raw: Values = field(default_factory=dict)  # the file as read (JSON values)
    gpu_pci_addresses: tuple[str, ...] = ()  # empty: the profile does not say
    compute_nics: ComputeNics = field(default_factory=ComputeNics)
    probe: PodNeeds = field(default_factory=PodNeeds)


@dataclass(frozen=True, slots=True)
class Declaration(Field):
    """Where Git declares a component; `{ring}` in file and object: one a ring. `images`: those that bring a version.

    `toolkits`: version -> the image by which drivers are built for its system. `texts`: version -> path -> what a field
    holds for it, where that is not what the mover writes: a digest, the repository or image that move along.
    """

    images: Mapping[str, str] = field(default_factory=dict)
    toolkits: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def of_ring(self, ring: str, path: str = "") -> Field:
        """The field of one ring, or another one of the same object."""
        file = self.file.replace("{ring}", ring)
        written = self._written_of(path).replace("{ring}", ring)
        return Field(self.component, file, path or self.path, self.object.of_ring(ring), written=written)

    def _written_of(self, path: str) -> str:
        """Where another field of the object is written: `driver.version` for `spec.driver.version` shows how."""
        if not self.written or path in ("", self.path):
            return self.written
        ends = [self.path[m.start() :] for m in re.finditer(r"[^.]+", self.path)]
        for end in (e for e in ends if re.search(rf"(?<![^.=\[]){re.escape(e)}(?![^.\]])", self.written)):
            start = self.path.removesuffix(end)
            return self.written.replace(end, path.removeprefix(start)) if path.startswith(start) else path
        return path

    @property
    def kind(self) -> str:
        """The kind of the live object."""
        return self.object.kind

    @property
    def scope(self) -> Scope:
        """`node` where each ring has its own object, else `cluster`."""
        return Scope.NODE if "{ring}" in self.object.name else Scope.CLUSTER


@dataclass(frozen=True, slots=True)
class Ring:
    """A fixed set of nodes that one Git object declares. Ring 0 is the canary."""

    name: str
    nodes: tuple[str, ...]
    batch: int  # nodes out at the same time


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose work runs here. `eviction_deadline` bounds retries of a 429, in seconds."""

    name: str
    namespaces: tuple[str, ...]
    eviction_deadline: float
    contact: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Which cluster a kubeconfig reaches: uid of kube-system, sha256 of the API server's CA (hex)."""

    uid: str
    ca: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines and durations, in seconds. A cluster file may override each."""

    lease: float = 60.0
    deliver: float = 600.0
    claim: float = 120.0
    drain: float = 1800.0
    apply: float = 1800.0
    settle: float = 3600.0  # until what is declared once for all nodes is there
    judge: float = 1800.0
    image_pull: float = 1800.0  # on top of it, while nothing but a probe's image is waited for
    release: float = 300.0
    soak: float = 3600.0
    operand_age: float = 900.0  # a state older than this is a failure, not a wait
    node_unreachable: float = 1800.0
    leaky: float = 86400.0  # how long what any new pod takes may stand before the last ring has it
    undo: float = 3600.0  # how long a way back tries again what could not be done, before it is interrupted


@dataclass(frozen=True, slots=True)
class Cluster:
    """One cluster file. `raw` is the file as read (JSON values), what gates and playbooks are given.

    `profile` is "" where `pools` says more; `model.hardware` tells both as one.
    """

    name: str
    profile: str  # the hardware profile of all GPU nodes
    release: str  # pinned: what Git declares today
    control_plane: tuple[str, ...]
    cpu: tuple[str, ...]
    gpu: tuple[str, ...]
    virtual: tuple[str, ...]  # Liqo and other virtual nodes: never a machine
    rings: tuple[Ring, ...]
    tenants: tuple[Tenant, ...]
    gitops: GitOps
    declarations: tuple[Declaration, ...]
    limits: Limits
    on_wave_failure: str  # hold | undo
    where: Location
    operator_namespace: str = "nvidia-gpu-operator"
    namespaces: Mapping[str, str] = field(default_factory=dict)  # of other operators, by component
    identity: Identity | None = None
    window_end: str = ""  # RFC 3339; "" means no window
    probe_image: str = ""  # by digest
    probe: PodSite = field(default_factory=PodSite)
    partners: tuple[str, ...] = ()  # GPU nodes that a judged one may meet while no tenant works there
    runs_kept: int = 10  # of those that changed the cluster, and as many of the others
    raw: Values = field(default_factory=dict)
    # What rules ask of a cluster: platform, network, ...
    traits: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, int] = field(default_factory=dict)  # node -> line, for messages
    evidence_max_age_days: int = 0  # 0: the profile's
    waivers: tuple[Waiver, ...] = ()
    alertmanager: Alertmanager = NONE
    bmcs: Bmcs = UNASKED
    pools: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # profile -> its nodes
    registry: Pulling | None = None  # None: no registry is asked for images
    follows: Mapping[str, Follows] = field(
        default_factory=dict
    )  # what Git leaves to an operator: it moves with that

    def namespace_of(self, operator: str) -> str:
        """The namespace of an operator, by its component's name; the GPU operator's for any that is not named."""
        return self.namespaces.get(operator, self.operator_namespace)

    def ring(self, name: str) -> Ring:
        """The ring of that name; KeyError where there is none."""
        return {r.name: r for r in self.rings}[name]

    def strangers(self, roles: Mapping[str, str]) -> dict[str, str]:
        """Machines of this file that the live cluster (node -> role) has not, or not as machines; and what is wrong."""
        machines = (*self.control_plane, *self.cpu, *self.gpu)
        return {
            node: "is a virtual node there, not a machine" if node in roles else "is no node of that cluster"
            for node in machines
            if roles.get(node, "virtual") == "virtual"
        }

    def declaration(self, component: str) -> Declaration:
        """Where a component is declared; KeyError where it is not."""
        return {d.component: d for d in self.declarations}[component]


@dataclass(frozen=True, slots=True)
class Matrix:
    """The whole matrix of one Git revision (`commit`, "" for a plain folder)."""

    components: Mapping[str, Component]
    releases: Mapping[str, Release]
    rules: Mapping[str, Rule]
    profiles: Mapping[str, Profile]
    clusters: Mapping[str, Cluster]
    commit: str = ""
    dirty: bool = False
    edges: Mapping[str, Edges] = field(default_factory=dict)
    stages: tuple[Stage, ...] = ()

    def on(self, cluster: Cluster) -> Matrix:
        """The matrix as it is on a cluster: what Git leaves to an operator there follows that one."""
        known = ((n, f) for n, f in cluster.follows.items() if n in self.components)
        own = {name: replace(self.components[name], follows=follows) for name, follows in known}
        return replace(self, components={**self.components, **own}) if own else self

    @property
    def movers(self) -> Specs:
        """How each component moves, of those that do."""
        return {n: c.mover for n, c in self.components.items() if c.mover is not None}

    @property
    def reported(self) -> Mapping[str, Mapping[str, str]]:
        """Of components whose modules may say another version: what is said -> the version, and all that are known."""
        named = [(name, v) for r in self.releases.values() for name, v in r.components.items()]
        named += [(name, v) for name, edges in self.edges.items() for v in edges.versions]
        return {
            c.name: {**{v: v for name, v in named if name == c.name}, **c.reports}
            for c in self.components.values()
            if c.reports
        }

    @property
    def schemes(self) -> Mapping[str, str]:
        """How each component's versions compare."""
        return {name: component.scheme for name, component in self.components.items()}
