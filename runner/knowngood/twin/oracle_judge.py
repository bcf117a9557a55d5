"""The oracle's judgement: two snapshots compared, and what each node lived through. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from knowngood.twin.values import Object, Values

COMPARED = ("nodes", "fleet", "ours", "declared")
OPTIONAL = ("loads", "workloads")
OF_THE_FLEET = {"operator-installed", "operator-removed", "definition-replaced", "plan-approved"}
MISSED = {"nvidia": "no driver", "mlx5_core": "no NIC driver"}
"""Modules without which tenants can't use a node, and how that is called."""


def differences(before: Values, after: Values, also: Iterable[str] = ()) -> list[str]:
    """One line a difference: `nodes.gpu-1.module: 580.173.02 -> 595.91.07`."""
    found: list[str] = []
    for section in (*COMPARED, *also):
        if section in before and section in after:
            found += _compare(section, before[section], after[section])
        else:
            found.append(f"{section}: not told by both")
    return found


def _compare(path: str, before: Any, after: Any) -> list[str]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        found: list[str] = []
        for key in sorted({*before, *after}):
            missing = object()
            old, new = before.get(key, missing), after.get(key, missing)
            if old is missing:
                found.append(f"{path}.{key}: added {new}")
            elif new is missing:
                found.append(f"{path}.{key}: gone, was {old}")
            else:
                found += _compare(f"{path}.{key}", old, new)
        return found
    return [] if before == after else [f"{path}: {before} -> {after}"]


@dataclass
class NodeHistory:
    """What one node lived through since the cluster had settled; times are RFC 3339, to "" means until now.

    drivers: which version ran when; modules: the same of every other kernel module, by name. out: when tenants could
    not use it, and why it began. restarts: driver pods that went, with cause. loads and boots count from settling on;
    evictions are per tenant.
    """

    drivers: list[dict[str, str]] = field(default_factory=list)
    modules: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    out: list[dict[str, str]] = field(default_factory=list)
    restarts: list[dict[str, str]] = field(default_factory=list)
    loads: int = 0
    boots: int = 0
    drains: int = 0
    evictions: dict[str, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


@dataclass
class _Node:
    """A node while its events are folded: why it is out of service, and what was evicted since."""

    history: NodeHistory = field(default_factory=NodeHistory)
    reasons: set[str] = field(default_factory=set)
    drained: bool = False


def history(events: Iterable[Values]) -> Object:
    """Fold the event log: {nodes: {name: NodeHistory}, fleet: events, evictions: {tenant: count}, settled: time}."""
    nodes: dict[str, _Node] = {}
    fleet: list[Values] = []
    settled = ""
    for event in events:
        if event["event"] == "settled":
            settled = event["time"]
            continue
        if settled and event["event"] in OF_THE_FLEET:
            fleet.append({name: value for name, value in event.items() if name != "node"})
        if event["node"]:
            node = nodes.setdefault(event["node"], _Node())
            _fold_modules(node.history, event)
            _fold_service(node, event, since_settled=bool(settled))
            if settled:
                _fold_count(node, event)
    evictions: dict[str, int] = {}
    for node in nodes.values():
        for tenant, count in node.history.evictions.items():
            evictions[tenant] = evictions.get(tenant, 0) + count
    rows = {name: asdict(node.history) for name, node in sorted(nodes.items())}
    return {"settled": settled, "nodes": rows, "fleet": fleet, "evictions": evictions}


def _fold_modules(row: NodeHistory, event: Values) -> None:
    """A boot ends every module's time, a load or an unload its own module's."""
    if event["event"] in {"booted", "node-down"}:
        ended = [row.drivers, *row.modules.values()]
    elif event["event"] in {"module-loaded", "module-unloaded"}:
        ended = [_times(row, event)]
    else:
        return
    for times in ended:
        if times and not times[-1]["to"]:
            times[-1]["to"] = event["time"]
    if event["event"] == "module-loaded":
        _times(row, event).append({"version": event["version"], "from": event["time"], "to": ""})


def _times(row: NodeHistory, event: Values) -> list[dict[str, str]]:
    """When the module of an event was loaded."""
    return row.drivers if _module(event) == "nvidia" else row.modules.setdefault(_module(event), [])


def _module(event: Values) -> str:
    """Which module came or went; the GPU driver where an older log does not say."""
    return str(event.get("module", "nvidia"))


def _fold_service(node: _Node, event: Values, *, since_settled: bool) -> None:
    """A node is out while cordoned, tainted against scheduling, down or without a driver."""
    match event["event"]:
        case "cordoned":
            begins, ends = "cordoned", ""
        case "uncordoned":
            begins, ends = "", "cordoned"
        case "tainted" if str(event["taint"]).endswith((":NoSchedule", ":NoExecute")):
            begins, ends = str(event["taint"]), ""
        case "untainted":
            begins, ends = "", str(event["taint"])
        case "module-unloaded" if _module(event) in MISSED:
            begins, ends = MISSED[_module(event)], ""
        case "module-loaded" if _module(event) in MISSED:
            begins, ends = "", MISSED[_module(event)]
        case "node-down":
            begins, ends = "down", ""
        case "node-up":
            begins, ends = "", "down"
        case _:
            return
    was_out = bool(node.reasons)
    node.reasons |= {begins} - {""}
    node.reasons.discard(ends)
    if node.reasons and not was_out and since_settled:
        node.history.out.append({"from": event["time"], "to": "", "reason": begins})
        node.drained = False
    elif was_out and not node.reasons and node.history.out:
        node.history.out[-1]["to"] = event["time"]


def _fold_count(node: _Node, event: Values) -> None:
    row = node.history
    match event["event"]:
        case "module-loaded" if _module(event) == "nvidia":
            row.loads += 1
        case "booted":
            row.boots += 1
        case "driver-pod-deleted":
            row.restarts.append({"time": event["time"], "cause": event["cause"], "by": event.get("by", "")})
        case "pod-evicted":
            tenant = event.get("tenant") or event["namespace"]
            row.evictions[tenant] = row.evictions.get(tenant, 0) + 1
            row.drains += not node.drained
            node.drained = True
        case "fault-hit":
            row.faults.append(str(event["fault"]))
