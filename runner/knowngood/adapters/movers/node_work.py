"""What our Ansible modules call: the verb by name, parameters as Ansible gives them, the result as Ansible wants it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module

from knowngood.adapters.cluster import node_state
from knowngood.adapters.cluster.facts import BY_HAND
from knowngood.adapters.kubernetes.client import AGENT, Kube
from knowngood.adapters.kubernetes.kubeconfig import default_path
from knowngood.adapters.movers import operands
from knowngood.adapters.movers.base import Arrived, NodeMover, Turn
from knowngood.adapters.movers.telling import teller
from knowngood.adapters.nodes import batch, claiming, drain, preflight
from knowngood.adapters.nodes.batch import NotTold, Report, Task
from knowngood.model.bmcs import Bmcs
from knowngood.model.errors import KnowngoodError, UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.jsonable import from_json
from knowngood.model.matrix import Limits, Tenant
from knowngood.model.mover import Mark, MoverSpec, Moving, completed
from knowngood.model.values import Object, Values
from knowngood.planner.eviction import ALL_USERS

Verb = Callable[[Task, list[str]], Report]


def _all(action: batch.Action) -> Verb:
    return lambda task, names: batch.each(task, names, action)


MOVERS = (
    "daemon-driver",
    "label",
    "machine-config",
    "nic-firmware",
    "redfish",
    "sriov",
    "talosctl",
)
"""The classes that move nodes, as a component file calls them; each is a module with a function `apply`."""


def mover(kind: str) -> NodeMover:
    """The class of this name. A playbook is a process of its own, and imports none that it does not move by."""
    module = import_module(f"knowngood.adapters.movers.{kind.replace('-', '_')}")
    found: NodeMover = module.apply
    return found


def _apply(task: Task, name: str) -> tuple[bool, Object]:
    """Move what is to be moved on one node: each restart in its turn, then what depends on all of them."""
    ends_at = time.monotonic() + task.limits.apply
    came: list[Arrived] = []
    for moves in _turns(task, name):
        marks = on_one_boot(came).values()
        since = max(marks, key=lambda mark: mark.at, default=task.since.get(name))
        came.append(mover(moves[0].spec.kind)(task, name, Turn(moves, ends_at, since)))
    held = sum(arrived.held for arrived in came) + operands.settled(task, name, ends_at)
    every = on_one_boot(came)
    restarted = any(arrived.restarted for arrived in came)
    last = max(every.values(), key=lambda mark: mark.at)
    detail = {
        "versions": {component: mark.version for component, mark in every.items()},
        "load": {"bootId": last.boot_id, "monotonic": last.at},
        "restarted": restarted,
        "held": held,
        batch.SEEN: node_state.arrived(name, every),
    }
    return restarted or held > 0, detail


def on_one_boot(came: Sequence[Arrived]) -> dict[str, Mark]:
    """What came, by component. What came before a boot of a later turn (a BMC's firmware, before a BIOS) is there on it
    and counted from its load: else the node's newest load would be one of a boot that is over.
    """
    if not came:
        return {}
    last = max(came[-1].marks.values(), key=lambda mark: mark.at)
    every = {component: mark for arrived in came for component, mark in arrived.marks.items()}
    return {
        component: mark
        if mark.boot_id == last.boot_id
        else dataclasses.replace(mark, boot_id=last.boot_id, at=last.at)
        for component, mark in every.items()
    }


def _turns(task: Task, name: str) -> list[tuple[Moving, ...]]:
    """What comes with one restart together, in the order in which the restarts are made.

    A second load is made of what a restart can load a second time: the pods of the others keep what is loaded.
    NodeFailed where there is none.
    """
    again = name in task.since
    found: dict[str, list[Moving]] = {}
    for moving in sorted(task.moves, key=lambda m: m.spec.order):
        if again and not moving.spec.reloads:
            continue
        found.setdefault(moving.spec.beside or moving.component, []).append(moving)
    if not found:
        raise NotTold("nothing of what moves can be loaded a second time by a restart")
    return [tuple(sorted(group, key=lambda m: bool(m.spec.beside))) for group in found.values()]


VERBS: Mapping[str, Verb] = {
    "preflight": preflight.preflight,
    "claim": preflight.claim,
    "drain": _all(drain.drain),
    "apply": _all(_apply),
    "release": _all(claiming.release),
    "quarantine": _all(claiming.quarantine),
}


def perform(verb: str, params: Values, *, dry_run: bool = False) -> Object:
    """Do a verb on the nodes of a batch; returns the module's result: `changed`, `failed`, `msg`, `knowngood`."""
    nodes, calls = [str(name) for name in params["nodes"]], 0
    reasons = {str(k): str(v) for k, v in (params.get("reasons") or {}).items()}
    try:
        task = _task(verb, params, reasons, dry_run=dry_run)
        report = VERBS[verb](task, nodes)
        calls = task.kube.calls
    except KnowngoodError as error:
        why = f"{error}. {error.hint}".rstrip(". ")
        report = Report(failed=dict.fromkeys(nodes, why), could_not=nodes)
    result = dataclasses.asdict(report)
    changed = result.pop("changed")
    bad = {**report.failed, **report.given_back}
    return {
        "changed": changed,
        "failed": bool(report.failed),
        "msg": "; ".join(f"{name}: {why}" for name, why in bad.items()),
        "knowngood": {**result, "verb": verb, "dry_run": dry_run, "calls": calls},
    }


def _task(verb: str, params: Values, reasons: Mapping[str, str], *, dry_run: bool) -> Task:
    cluster = params.get("cluster") or {}
    limits = limits_of(params.get("limits") or {})
    namespaces = {str(k): str(v) for k, v in (cluster.get("namespaces") or {}).items()}
    gpu_operator = str(
        cluster.get("operatorNamespace") or namespaces.get("gpu-operator") or "nvidia-gpu-operator"
    )
    others = namespaces.values() if namespaces else ("nvidia-network-operator",)
    return Task(
        kube=Kube(
            default_path(), patience=limits.lease, first_patience=limits.lease, agent=f"{AGENT}-{verb}"
        ),
        fence=str(params["fence"]),
        limits=limits,
        tenants=tuple(
            Tenant(
                name=str(t["name"]),
                namespaces=tuple(t["namespaces"]),
                eviction_deadline=float(t.get("evictionDeadlineSeconds", limits.drain)),
            )
            for t in cluster.get("tenants") or ()
        ),
        operators=tuple(dict.fromkeys((gpu_operator, *others))),
        namespaces=namespaces,
        moves=tuple(_moves(params)),
        specs=_specs(params),
        users=tuple(params.get("users") or ALL_USERS),
        reasons=reasons,
        keep=bool(params.get("keep")),
        since=_since(params.get("since") or {}),
        bmcs=_bmcs(cluster.get("bmcs") or {}),
        machines=tuple(str(name) for name in cluster.get("machines") or ()),
        named=bool(params.get("objects")),
        dry_run=dry_run,
        tell=teller(),
    )


def _bmcs(said: Values) -> Bmcs:
    """Where BMCs are, as a cluster file has it."""
    try:
        found = Bmcs.of(said)
    except (TypeError, AttributeError) as error:
        raise UsageError(f"cluster.bmcs can't be read: {error}", hint="as in a cluster file") from error
    images = (one.url for versions in found.images.values() for one in versions.values())
    if bare := [url for url in (found.at, *images) if url and not url.startswith("https://")]:
        raise UsageError(f"cluster.bmcs: {bare[0]} is no https:// address", hint="as in a cluster file")
    return found


def _specs(params: Values) -> dict[str, MoverSpec]:
    """How components move: as the parameters say, by hand as the GPU driver does."""
    found = {
        str(component): spec_of(component, said) for component, said in (params.get("movers") or {}).items()
    }
    try:
        return completed(found) or dict(BY_HAND)
    except KeyError as error:
        raise UsageError(f"{error} is named by a mover, and its own is not given") from error


def _since(said: Values) -> dict[str, Mark]:
    """Node -> the load that does not count any more."""
    try:
        return {str(n): Mark("", str(one["boot_id"]), float(one["monotonic"])) for n, one in said.items()}
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(f"since when a load counts can't be read: {error!r}") from error


FILE_KEYS = {"class": "kind", "with": "beside"}
"""How a component file calls what has another name in a plan."""


def spec_of(component: str, said: Values) -> MoverSpec:
    """A mover as a plan froze it, or as a component file has it."""
    try:
        return from_json(MoverSpec, {FILE_KEYS.get(key, key): value for key, value in said.items()})
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"the mover of {component} can't be read: {error}") from error


def _moves(params: Values) -> Iterator[Moving]:
    """What the parameters say that moves. UsageError where they do not say how."""
    specs = _specs(params)
    for component, version in (params.get("expect") or {}).items():
        if component not in specs:
            raise UsageError(
                f"how {component} moves is not said", hint="give its mover, as its component file has it"
            )
        if specs[component].kind not in MOVERS:
            kind = specs[component].kind
            raise UsageError(f"{component} moves by class {kind!r}, which this version does not know")
        at = _object(component, (params.get("objects") or {}).get(component))
        yield Moving(component, "", str(version), specs[component], at)


def _object(component: str, said: Values | None) -> ObjectRef | None:
    """The object that declares a component for these nodes, None where none is named."""
    try:
        return from_json(ObjectRef, said) if said else None
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UsageError(f"the object that declares {component} can't be read: {error}") from error


def limits_of(values: Values) -> Limits:
    """Deadlines as the parameters give them, ours for the others."""
    known = {f.name for f in dataclasses.fields(Limits)}
    return Limits(**{key: float(value) for key, value in values.items() if key in known})
