"""The definitions of the version before: kept when a newer one is approved, held against the objects on the way back.

An older bundle puts its older definitions back. OLM refuses where a stored version would vanish or an object does not
fit, but by then the newer operator is gone: so both are asked before anything is deleted. Fields that only the newer
definition knows are pruned at the next write; they are named.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from knowngood.adapters.kubernetes.checkpoint import ConfigMapCheckpoint
from knowngood.adapters.kubernetes.client import Object, path
from knowngood.adapters.movers.fleet_task import FleetTask
from knowngood.adapters.movers.olm_operator import Operator, name_of, owned, status_of
from knowngood.model.errors import DataError, Refused, UsageError
from knowngood.model.values import Values

SHOWN = 5  # fields that are named
OPEN = "x-kubernetes-preserve-unknown-fields"
EITHER = "x-kubernetes-int-or-string"


def keep(task: FleetTask, operator: Operator) -> None:
    """Keep the definitions of what is installed, beside the run's other files; once."""
    names = sorted({name for csv in operator.versions() for name in owned(csv)})
    found = [definition for name in names if (definition := operator.definition(name))]
    if found and _kept(task, operator) is None:
        data = json.dumps([{"metadata": {"name": name_of(d)}, "spec": d["spec"]} for d in found]).encode()
        ConfigMapCheckpoint(task.kube).keep(task.run, _file(operator), data)


def checked(task: FleetTask, operator: Operator, versions: Sequence[Object]) -> Iterator[str]:
    """What is to be said of the definitions before the versions go. Refused where OLM would refuse them."""
    if not any(owned(csv) for csv in versions):
        return
    older = _kept(task, operator)
    if older is None:
        yield "whether every object fits the older definitions is not proven: nothing was kept of them"
        return
    for definition in older:
        live = operator.definition(name_of(definition))
        if live is None or live["spec"] == definition["spec"]:
            continue
        if why := _lost(live, definition):
            raise Refused(
                why, hint="move these objects to a version that stays, or stay with the newer operator"
            )
        try:
            yield from _objects(task, live, definition)
        except UsageError as error:
            yield f"whether objects of {name_of(definition)} fit the older definition is not proven: {error}"


def _kept(task: FleetTask, operator: Operator) -> list[Object] | None:
    try:
        found: list[Object] = json.loads(ConfigMapCheckpoint(task.kube).fetch(task.run, _file(operator)))
    except DataError:
        return None
    return found


def _file(operator: Operator) -> str:
    return f"definitions-{operator.component}"


def _lost(live: Object, older: Object) -> str:
    """The stored version that would vanish."""
    offered = {version["name"] for version in older["spec"]["versions"]}
    lost = [v for v in status_of(live).get("storedVersions") or () if v not in offered]
    return (
        f"{name_of(older)}: objects are stored as {', '.join(lost)}, which the older definition does not know: "
        "OLM would refuse it (risk of data loss)"
        if lost
        else ""
    )


def _objects(task: FleetTask, live: Object, older: Object) -> Iterator[str]:
    """Hold every object against the older schema of each version that is served now."""
    from jsonschema import Draft202012Validator  # noqa: PLC0415 (0.1 s, for an operator that goes back only)

    group, plural = older["spec"]["group"], older["spec"]["names"]["plural"]
    served = {version["name"] for version in live["spec"]["versions"] if version["served"]}
    for version in older["spec"]["versions"]:
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if version["name"] not in served or not schema:
            continue
        validator = Draft202012Validator(plain(schema))
        for obj in task.kube.list(path(f"{group}/{version['name']}", plural)):
            where = f"{older['spec']['names']['kind']} {name_of(obj)}"
            if errors := [f"{e.json_path}: {e.message[:200]}" for e in validator.iter_errors(obj)]:
                raise Refused(
                    f"{where} does not fit the older {name_of(older)}: {'; '.join(errors[:SHOWN])}",
                    hint="change it in Git so that it fits both, then resume",
                )
            if gone := list(unknown(obj, schema)):
                more = f" and {len(gone) - SHOWN} more" if len(gone) > SHOWN else ""
                yield f"{where} loses {', '.join(gone[:SHOWN])}{more} at its next write"


def plain(schema: Any) -> Any:
    """A structural schema as JSON Schema: `nullable` and int-or-string are words of Kubernetes."""
    if isinstance(schema, list):
        return [plain(one) for one in schema]
    if not isinstance(schema, Mapping):
        return schema
    found = {key: plain(value) for key, value in schema.items() if key != "format"}
    if found.get(EITHER):
        found["type"] = ["integer", "string"]
    if found.get("nullable") is True and "type" in found:
        kind = found["type"]
        found["type"] = [*(kind if isinstance(kind, list) else [kind]), "null"]
        if "enum" in found:
            found["enum"] = [*found["enum"], None]
    return found


def unknown(obj: Object, schema: Values, at: str = "") -> Iterator[str]:
    """The fields of an object that a structural schema does not know, dotted; metadata is the server's own."""
    properties = schema.get("properties")
    if schema.get(OPEN) or not isinstance(properties, Mapping):
        return
    for key, value in obj.items():
        if not at and key in {"apiVersion", "kind", "metadata"}:
            continue
        if key not in properties:
            yield f"{at}{key}"
            continue
        inner = properties[key]
        for number, one in enumerate(value if isinstance(value, list) else [value]):
            below = inner.get("items", {}) if isinstance(value, list) else inner
            index = f"[{number}]" if isinstance(value, list) else ""
            if isinstance(one, dict):
                yield from unknown(one, below, f"{at}{key}{index}.")
