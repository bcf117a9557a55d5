"""What can be paused for a hold: how it is paused, how it says so, and whose hold an object carries. Reads only."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from knowngood.adapters.cluster.actors import annotation, optional
from knowngood.adapters.kubernetes.client import Kube, Object, path
from knowngood.model import names
from knowngood.model.node import Leftover
from knowngood.model.values import Values
from knowngood.ports.holds import Term

MACHINE_CHECK_PAUSED = "cluster.x-k8s.io/paused"
"""On a MachineHealthCheck: present, whatever its value, it restarts nobody (openshift/machine-api-operator)."""
SCALE_DOWN_DISABLED = "cluster-autoscaler.kubernetes.io/scale-down-disabled"
"""On a node: "true", and the cluster autoscaler does not take it away, however idle it is."""
MINE = "knowngood"


@dataclass(frozen=True, slots=True)
class Pausable:
    """One kind of object whose work can be paused.

    `hold` is what a component's `holds` calls it. `paused`: whether somebody paused it in a way that leaves no room
    for us; `stands`: whether our own pause is there. `pause` and `resume` are the merge patches of it.
    """

    hold: str
    kind: str
    api: str
    plural: str
    paused: Callable[[Object], bool]
    stands: Callable[[Object], bool]
    pause: Callable[[Object], Object]
    resume: Callable[[Object], Object]

    def where(self, name: str) -> str:
        """The path of one of them, named `[namespace/]name`."""
        namespace, _, bare = name.rpartition("/")
        return path(self.api, self.plural, bare, namespace)

    def called(self, item: Object) -> str:
        """It in words: `MachineConfigPool gpu`."""
        metadata = item["metadata"]
        place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
        return f"{self.kind} {place}{metadata['name']}"


def _requests(check: Object) -> list[str]:
    return [str(request) for request in (check.get("spec") or {}).get("pauseRequests") or ()]


def _is_paused_pool(pool: Object) -> bool:
    return bool((pool.get("spec") or {}).get("paused"))


def _annotated(key: str, value: str) -> dict[str, Callable[[Object], Any]]:
    """Paused by an annotation. One with another value than ours is somebody else's by now, and stays."""

    def resume(item: Object) -> Object:
        return {"metadata": {"annotations": {key: None}}} if annotation(item, key) == value else {}

    def there(item: Object) -> bool:
        return key in (item["metadata"].get("annotations") or {})

    return {
        "paused": there,
        "stands": there,
        "pause": lambda _item: {"metadata": {"annotations": {key: value}}},
        "resume": resume,
    }


def rolls(pool: Object) -> bool:
    """Whether the run that holds it has let it go for its ring."""
    hold = term(pool)
    return hold is not None and annotation(pool, names.ROLLS_ANNOTATION) == hold.run


def _resumed(pool: Object) -> Object:
    let_go = annotation(pool, names.ROLLS_ANNOTATION)
    gone = {"metadata": {"annotations": {names.ROLLS_ANNOTATION: None}}} if let_go else {}
    return {"spec": {"paused": False}, **gone}


POOL = Pausable(
    "machine-config-pool",
    "MachineConfigPool",
    "machineconfiguration.openshift.io/v1",
    "machineconfigpools",
    paused=_is_paused_pool,
    stands=lambda pool: _is_paused_pool(pool) or rolls(pool),
    pause=lambda _pool: {"spec": {"paused": True}},
    resume=_resumed,
)
MACHINE_CHECK = Pausable(
    "health-checks",
    "MachineHealthCheck",
    "machine.openshift.io/v1beta1",
    "machinehealthchecks",
    **_annotated(MACHINE_CHECK_PAUSED, MINE),
)
NODE_CHECK = Pausable(
    "health-checks",
    "NodeHealthCheck",
    "remediation.medik8s.io/v1alpha1",
    "nodehealthchecks",
    paused=lambda _check: False,  # each who wants it paused has a request of its own
    stands=lambda check: MINE in _requests(check),
    pause=lambda check: {"spec": {"pauseRequests": [*_requests(check), MINE]}},
    resume=lambda check: {"spec": {"pauseRequests": [r for r in _requests(check) if r != MINE]}},
)
NODE = Pausable("cluster-autoscaler", "Node", "v1", "nodes", **_annotated(SCALE_DOWN_DISABLED, "true"))
OBJECTS = (POOL, MACHINE_CHECK, NODE_CHECK)
PAUSABLES = (*OBJECTS, NODE)


def by_name(what: str) -> tuple[Pausable, str]:
    """The kind and the name of what `Pausable.called` put into words."""
    kind, _, name = what.partition(" ")
    return next(pausable for pausable in PAUSABLES if pausable.kind == kind), name


def term(item: Object) -> Term | None:
    """Whose hold an object carries, None without one; one that can't be read is nobody's we know."""
    text = annotation(item, names.HOLD_ANNOTATION)
    if not text:
        return None
    try:
        found = json.loads(text)
        return Term(str(found["run"]), str(found.get("who", "")), str(found.get("until", "")))
    except (ValueError, TypeError, KeyError, AttributeError):
        return Term("", "", "")


def written(hold: Term) -> str:
    """A term as it stands on an object."""
    return json.dumps({"run": hold.run, "who": hold.who, "until": hold.until})


def paused_objects(kube: Kube) -> Iterator[tuple[Pausable, Object]]:
    """All objects that can be paused, of the kinds that this cluster serves; of their content what is needed here."""
    for pausable in OBJECTS:
        for item in optional(kube, path(pausable.api, pausable.plural)):
            yield pausable, item


def leftovers(kube: Kube, nodes: Sequence[Object]) -> list[Leftover]:
    """Every hold that stands anywhere: whose it is, and until when it was meant."""
    found = [*paused_objects(kube), *((NODE, node) for node in nodes)]
    return [_leftover(pausable, item, hold) for pausable, item in found if (hold := term(item))]


def _leftover(pausable: Pausable, item: Object, hold: Term) -> Leftover:
    by = f" ({hold.who})" if hold.who else ""
    until = f", meant until {hold.until}" if hold.until else ""
    told = f"of run {hold.run or 'unknown'}{by}{until}"
    return Leftover("hold", pausable.called(item), told, hold.run, starts(pausable, item))


def starts(pausable: Pausable, item: Object) -> str:
    """What letting it go starts: a pool that goes on already, or anything else, starts nothing."""
    is_brake = pausable is POOL and _is_paused_pool(item)
    return "boots every node of it that lacks its config, at once and undrained" if is_brake else ""


def labels(item: Values) -> Mapping[str, str]:
    """An object's labels."""
    return item["metadata"].get("labels") or {}
