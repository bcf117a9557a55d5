"""What our Ansible module for holds calls, with parameters as Ansible gives them. In a run it is the port."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from knowngood.adapters.clock import timestamp
from knowngood.adapters.kubernetes.client import AGENT, Kube
from knowngood.adapters.kubernetes.kubeconfig import default_path
from knowngood.adapters.nodes.holding import KubeHolds
from knowngood.model.alerts import Alertmanager
from knowngood.model.errors import KnowngoodError
from knowngood.model.values import Object, Values
from knowngood.ports.holds import Term


def perform(verb: str, params: Values) -> Object:
    """Hold others or let them go; returns the module's result: `changed`, `failed`, `msg`, `knowngood`."""
    try:
        alerts = Alertmanager.of(params.get("alertmanager") or {})
        holds = KubeHolds(Kube(default_path(), agent=f"{AGENT}-{verb}"), alerts)
        done, failed, said = _held(holds, params) if verb == "hold" else _let_go(holds, params)
    except KnowngoodError as error:
        done, failed, said = (), {"the cluster": f"{error}. {error.hint}".rstrip(". ")}, ()
    message = "; ".join([*(f"{what}: {why}" for what, why in failed.items()), *said])
    told = {"verb": verb, "done": list(done), "failed": failed}
    return {"changed": bool(done), "failed": bool(failed), "msg": message, "knowngood": told}


Did = tuple[tuple[str, ...], dict[str, str], tuple[str, ...]]
"""What was done, what could not be and why, and what must be known all the same."""


def _held(holds: KubeHolds, params: Values) -> Did:
    until = timestamp(datetime.now(UTC) + timedelta(seconds=float(params["seconds"])))
    term = Term(_run(params), str(params.get("who") or ""), until)
    taken = holds.take(params["holds"], [str(name) for name in params["nodes"]], term)
    return taken.held, {**taken.busy, **taken.failed}, tuple(taken.told)


def _let_go(holds: KubeHolds, params: Values) -> Did:
    gone = holds.let_go(params["holds"], _run(params))
    return gone.done, dict(gone.failed), ()


def _run(params: Values) -> str:
    return str(params["fence"]).rpartition("/")[0]
