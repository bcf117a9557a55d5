"""What our Ansible modules call: the verb by name, parameters as Ansible gives them, the result as Ansible wants it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from knowngood.adapters.kubernetes.client import AGENT, Kube
from knowngood.adapters.kubernetes.kubeconfig import default_path
from knowngood.adapters.movers import daemon_driver
from knowngood.adapters.nodes import batch, claiming, drain, preflight
from knowngood.adapters.nodes.batch import Report, Task
from knowngood.model.errors import KnowngoodError
from knowngood.model.matrix import Limits, Tenant

PROGRESS = "KNOWNGOOD_PROGRESS"
"""A named pipe to the runner, where somebody listens: one JSON object a line, {node, text}."""

Verb = Callable[[Task, list[str]], Report]


def _all(action: batch.Action) -> Verb:
    return lambda task, names: batch.each(task, names, action)


VERBS: Mapping[str, Verb] = {
    "preflight": preflight.preflight,
    "claim": preflight.claim,
    "drain": _all(drain.drain),
    "apply": _all(daemon_driver.apply),
    "release": _all(claiming.release),
    "quarantine": _all(claiming.quarantine),
}


def perform(verb: str, params: Mapping[str, Any], *, dry_run: bool = False) -> dict[str, Any]:
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
    message = "; ".join(f"{name}: {why}" for name, why in bad.items())
    return {
        "changed": changed,
        "failed": bool(report.failed),
        "msg": message,
        "knowngood": {**result, "calls": calls},
    }


def _task(verb: str, params: Mapping[str, Any], reasons: Mapping[str, str], *, dry_run: bool) -> Task:
    cluster = params.get("cluster") or {}
    limits = _limits(params.get("limits") or {})
    namespace = str(cluster.get("operatorNamespace") or "nvidia-gpu-operator")
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
        operators=(namespace, "nvidia-network-operator"),
        expect={str(k): str(v) for k, v in (params.get("expect") or {}).items()},
        reasons=reasons,
        keep=bool(params.get("keep")),
        dry_run=dry_run,
        tell=_teller(),
    )


def _limits(values: Mapping[str, Any]) -> Limits:
    known = {f.name for f in dataclasses.fields(Limits)}
    return Limits(**{key: float(value) for key, value in values.items() if key in known})


def _teller() -> Callable[[str, str], None]:
    """Report progress to the runner, if it listens; never wait for it and never fail because of it."""
    pipe = os.environ.get(PROGRESS, "")

    def tell(node: str, text: str) -> None:
        if not pipe:
            return
        with contextlib.suppress(OSError):
            line = json.dumps({"node": node, "text": text[:300]}) + "\n"
            end = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(end, line.encode())
            finally:
                os.close(end)

    return tell
