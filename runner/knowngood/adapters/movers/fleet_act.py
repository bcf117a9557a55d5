"""What our Ansible module for a fleet part calls: the verb by name, the result as Ansible wants it."""

from __future__ import annotations

from collections.abc import Mapping

from knowngood.adapters.kubernetes.client import AGENT, Kube
from knowngood.adapters.kubernetes.kubeconfig import default_path
from knowngood.adapters.movers.chart_acts import ChartActs
from knowngood.adapters.movers.cluster_version_acts import ClusterVersionActs
from knowngood.adapters.movers.fleet_task import FleetActor, FleetTask
from knowngood.adapters.movers.node_work import limits_of, spec_of
from knowngood.adapters.movers.olm_v0_acts import OlmV0Acts
from knowngood.adapters.movers.olm_v1_acts import OlmV1Acts
from knowngood.adapters.movers.operand_acts import OperandActs
from knowngood.adapters.movers.telling import teller
from knowngood.matrix.build import DEFAULT_NAMESPACES
from knowngood.model.errors import CouldNot, Inconclusive, KnowngoodError, LockHeld, Refused, UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.jsonable import from_json
from knowngood.model.mover import Moving
from knowngood.model.values import Object, Values

ACTORS: Mapping[str, FleetActor] = {
    "chart": ChartActs(),
    "cluster-version": ClusterVersionActs(),
    "olm-v0": OlmV0Acts(),
    "olm-v1": OlmV1Acts(),
    "operand": OperandActs(),
}
"""The classes with something to do once a cluster, each by its name in a component file."""

ENDS: Mapping[str, type[KnowngoodError]] = {
    "refused": Refused,
    "lock held": LockHeld,
    "usage": UsageError,
    "could not": CouldNot,
}
"""How an act can end badly, as its answer says it: the first that fits."""


def perform(verb: str, params: Values) -> Object:
    """Approve, or take back; returns the module's result: `changed`, `failed`, `msg`, `knowngood`."""
    calls = 0
    try:
        moving = _moving(params)
        limits = limits_of(params.get("limits") or {})
        kube = Kube(
            default_path(), patience=limits.lease, first_patience=limits.lease, agent=f"{AGENT}-{verb}"
        )
        tell = teller()
        spaces = {**DEFAULT_NAMESPACES, **(params.get("namespaces") or {})}
        task = FleetTask(kube, str(params["key"]), limits, lambda text: tell(moving.component, text), spaces)
        actor = ACTORS[moving.spec.kind]
        done = actor.start(task, moving) if verb == "approve" else actor.back(task, moving)
        calls = kube.calls
    except KnowngoodError as error:
        return {
            "changed": False,
            "failed": True,
            "msg": f"{error}. {error.hint}".rstrip(". "),
            "knowngood": {
                "verb": verb,
                "end": _end(error),
                "why": error.message,
                "hint": error.hint,
                "calls": calls,
            },
        }
    told = {"verb": verb, "done": done, "calls": calls}
    return {"changed": bool(done), "failed": False, "msg": done, "knowngood": told}


def _end(error: KnowngoodError) -> str:
    """`could not` for whatever else went wrong: it says nothing of the component."""
    if isinstance(error, Inconclusive):
        return "could not"
    return next((name for name, kind in ENDS.items() if isinstance(error, kind)), "could not")


def _moving(params: Values) -> Moving:
    """The move. UsageError where its mover can't be read, or its class has nothing to do once a cluster."""
    component = str(params["component"])
    spec = spec_of(component, params["mover"])
    if spec.kind not in ACTORS:
        raise UsageError(f"{component} moves by class {spec.kind!r}, which approves nothing")
    try:
        at = from_json(ObjectRef, params["object"])
    except (TypeError, ValueError) as error:
        raise UsageError(f"the object that declares {component} can't be read: {error}") from error
    before, after = str(params["before"]), str(params["after"])
    return Moving(component, before, after, spec, at, bool(params.get("reinstall")))
