"""What must be so on the cluster before a run's first commit: rights, and the objects that declare what it moves."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from knowngood.adapters.cluster import facts, rebooting, surroundings, talos
from knowngood.adapters.cluster.reader import scalar_at
from knowngood.adapters.kubernetes import access
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.model.errors import UsageError
from knowngood.model.field import FieldChange, ObjectRef
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.matrix import Cluster
from knowngood.model.mover import SYSTEMS, Specs
from knowngood.planner.moving import names_image
from knowngood.planner.readiness import declaring, image_fields, selecting, tolerating
from knowngood.planner.readiness.required import unmet
from knowngood.planner.readiness.rights import Right, needed
from knowngood.planner.roles import role
from knowngood.ports.readiness import Readiness

T = TypeVar("T")
DECLARING = (
    (declaring.NVIDIA_DRIVER, "nvidia.com/v1alpha1", "nvidiadrivers"),
    (declaring.CLUSTER_POLICY, "nvidia.com/v1", "clusterpolicies"),
    ("NicClusterPolicy", "mellanox.com/v1alpha1", "nicclusterpolicies"),
    ("NicNodePolicy", "mellanox.com/v1alpha1", "nicnodepolicies"),
)
"""Kinds that declare drivers and operands; a cluster may not serve all of them."""


class KubeReadiness(Readiness):
    """One cluster, as its cluster file describes it and its API server answers."""

    def __init__(self, kube: Kube, cluster: Cluster, specs: Specs | None = None) -> None:
        """`specs`: how components move."""
        self._kube = kube
        self._cluster = cluster
        self._specs = specs or {}

    def rights(self, changes: Sequence[FieldChange]) -> Sequence[Finding]:
        """See the port."""
        troubles: list[Finding] = []
        rights = list(needed(self._cluster, self._specs))
        for named in dict.fromkeys(change.object for change in changes):
            rights += _asked(troubles, str(named), self._right, named) or ()
        return [*troubles, *access.missing(self._kube, list(dict.fromkeys(rights)))]

    def lease(self, run: str) -> Sequence[Finding]:
        """See the port."""
        return self._all("leases", surroundings.taken_lease, run)

    def clock(self) -> Sequence[Finding]:
        """See the port."""
        return list(surroundings.skewed(self._kube))

    def probes(self, active: Sequence[str]) -> Sequence[Finding]:
        """See the port."""
        return self._all("what a probe needs", surroundings.no_place_for_probes, self._cluster, active)

    def _all(self, what: str, look: Callable[..., Iterator[Finding]], *about: Any) -> list[Finding]:
        """All findings of a look; one more where the API server does not let us go on."""
        troubles: list[Finding] = []
        return [*(_asked(troubles, what, lambda: list(look(self._kube, *about))) or ()), *troubles]

    def declared(self, changes: Sequence[FieldChange]) -> Sequence[Finding]:
        """See the port."""
        found: list[Finding] = []
        lists = {
            kind: _asked(found, plural, self._list, kind, api, plural) or []
            for kind, api, plural in DECLARING
        }
        nodes = _asked(found, "nodes", self._gpu_nodes) or []
        if found:
            return found
        found += self._against(lists, nodes, changes)
        for change in changes:
            along = {c.path for c in changes if c.object == change.object}
            found += _asked(found, str(change.object), self._moved, change, along) or ()
        return found

    def systems(self, changes: Sequence[FieldChange]) -> Sequence[Finding]:
        """See the port. Machines are those of the cluster file, by name: never what the cluster lists."""
        specs = (self._specs.get(change.component) for change in changes)
        if not any(spec.kind in SYSTEMS for spec in specs if spec):
            return []
        if missing := talos.ready():
            return missing
        found: list[Finding] = []
        nodes = _asked(found, "nodes", facts.nodes_named, self._kube, self._cluster.gpu)
        return [*found, *talos.against(nodes)] if nodes is not None else found

    def booting(self, changes: Sequence[FieldChange]) -> Sequence[Finding]:
        """See the port."""
        found: list[Finding] = []
        specs = (self._specs.get(change.component) for change in changes)
        for owner in sorted({spec.label.owner for spec in specs if spec and spec.label}):
            found += _asked(found, "daemonsets", self._booting, owner) or ()
        return found

    def _right(self, named: ObjectRef) -> list[Right]:
        """The right to read an object that a run moves; its plural is asked of discovery."""
        where = self._kube.locate(named.api_version, named.kind, named.name, named.namespace)
        *_, plural, name = where.split("/")
        group = named.api_version.rpartition("/")[0]
        return [Right("get", group, plural, named.namespace, name, "reads what it moves")]

    def _list(self, kind: str, api: str, plural: str) -> list[Object]:
        try:
            items = self._kube.list(path(api, plural))
        except ApiError as error:
            if error.missing:
                return []
            raise
        return [{**item, "apiVersion": api, "kind": kind} for item in items]

    def _gpu_nodes(self) -> list[Object]:
        """The live GPU nodes, and those that the cluster file calls so; never a virtual one."""
        nodes = [n for n in self._kube.list(path("v1", "nodes")) if role(n) != "virtual"]
        return [n for n in nodes if role(n) == "gpu" or n["metadata"]["name"] in self._cluster.gpu]

    def _against(
        self, lists: Mapping[str, Sequence[Object]], nodes: Sequence[Object], changes: Sequence[FieldChange]
    ) -> Iterator[Finding]:
        labels = {str(n["metadata"]["name"]): n["metadata"].get("labels") or {} for n in nodes}
        drivers, policies = lists[declaring.NVIDIA_DRIVER], lists[declaring.CLUSTER_POLICY]
        moved = {(c.object.kind, c.object.name) for c in changes}
        kinds = {kind for kind, _ in moved}
        yield from selecting.against_kind(policies, kinds)
        if drivers or declaring.NVIDIA_DRIVER in kinds:
            yield from selecting.against_selection(labels, drivers, self._rings())
        taints = selecting.gpu_taints(nodes)
        having = {name for each in labels.values() for name in selecting.owners(each, drivers)}
        for obj in (o for of_kind in lists.values() for o in of_kind):
            kind, name = obj["kind"], str(obj["metadata"]["name"])
            if kind == declaring.NVIDIA_DRIVER and name not in having and (kind, name) not in moved:
                continue  # it has no node and is not moved
            yield from declaring.against_moving(obj, taints)
            yield from tolerating.against_nodes(obj, nodes)
            if kind in {declaring.NVIDIA_DRIVER, declaring.CLUSTER_POLICY}:
                yield from declaring.against_trusting(obj)

    def _booting(self, owner: str) -> list[Finding]:
        """A boot in the midst of a move: gates fail it as the machine's own, and the way back would boot once more."""
        why = rebooting.booting(self._kube, self._cluster.operator_namespace, owner)
        return [refused("", why, rebooting.HINT)] if why else []

    def _rings(self) -> dict[str, str]:
        """Node -> the NVIDIADriver that Git declares for its ring."""
        names = [
            d.object.name
            for d in self._cluster.declarations
            if d.kind == declaring.NVIDIA_DRIVER and "{ring}" in d.object.name
        ]
        rings = self._cluster.rings if names else ()
        return {node: names[0].replace("{ring}", ring.name) for ring in rings for node in ring.nodes}

    def _moved(self, change: FieldChange, along: Collection[str]) -> list[Finding]:
        """An object that a run moves: it is there, carries what the plan starts from, and moves by that field.

        `along`: the fields of it that are changed.
        """
        named = change.object
        where = self._kube.locate(named.api_version, named.kind, named.name, named.namespace)
        found = self._kube.find(where)
        if found is None:
            hint = "see the cluster file's declare, and what Argo CD made of it"
            return [refused(str(named), "there is none on this cluster", hint)]
        value = scalar_at(found, change.path)
        trouble = []
        if value != change.before:
            what = f"{change.path} is {value or 'not set'}, the plan starts from {change.before}"
            trouble = [
                refused(declaring.name_of(found), what, "wait for Argo CD, or plan again", passes=True)
            ]
        spec = self._specs.get(change.component)
        texts = spec.require.get(named.kind, {}) if spec else {}
        trouble += unmet(f"{declaring.name_of(found)} in {change.file}", found, texts)
        whole = spec is not None and names_image(
            spec, named.kind
        )  # the image moves along, nobody composes one
        composed = [] if whole else image_fields.against_change(found, change, along)
        return [*trouble, *declaring.against_owner(found), *composed]


def _asked(troubles: list[Finding], what: str, ask: Callable[..., T], *about: Any) -> T | None:
    """An answer, or a finding that there is none. Silence (Unreachable) is the engine's to wait for."""
    try:
        return ask(*about)
    except ApiError as error:
        told = refused if error.missing else unknown
        troubles.append(told(what, str(error), error.hint))
    except UsageError as error:
        troubles.append(unknown(what, f"could not be read: {error}", error.hint))
    return None
