"""What the cluster-version operator writes into its status on the way, from what its operators report. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from knowngood.twin.behaviours.cvo_payloads import Said, said_of
from knowngood.twin.behaviours.kube import condition, merge_conditions, name_of, stamp
from knowngood.twin.seed import PayloadSeed
from knowngood.twin.values import Object

LONGEST_HISTORY = 100


def reports(operator: Object, version: str) -> bool:
    """Whether an operator says that it is of a version."""
    versions = (operator.get("status") or {}).get("versions") or ()
    return any(v["name"] == "operator" and v["version"] == version for v in versions)


def says(operator: Object, kind: str) -> bool:
    """Whether a condition of an operator is True."""
    return said_of((operator.get("status") or {}).get("conditions") or (), kind).status == "True"


def status_of(
    version: Object, target: PayloadSeed, operators: Sequence[Object], others: int, standing: Said | None
) -> Object:
    """The status while `target` is applied. `operators` in the order of their updates; `others`: more manifests."""
    status = version["status"]
    history = _begun(status["history"], target)
    late = [o for o in operators if not reports(o, target.version)]
    away = [name_of(o) for o in operators if not says(o, "Available")]
    degraded = [name_of(o) for o in operators if says(o, "Degraded")]
    failing = _failing(away, degraded)
    said: dict[str, Said] = {}
    if not late and not failing:
        history = _completed(history)
        said["Available"] = Said("True", "", f"Done applying {target.version}")
        said["Failing"] = Said("False")
        said["Progressing"] = Said("False", "", f"Cluster version is {target.version}")
    elif failing and (late or history[0]["state"] != "Completed"):
        said["Failing"] = failing
        told = f"Unable to apply {target.version}: {_short(away, degraded)}"
        said["Progressing"] = Said("True", failing.reason, told)
    elif failing:
        said["Failing"] = failing
        said["Progressing"] = Said("False", failing.reason, f"Error while reconciling {target.version}")
    else:
        said["Failing"] = Said("False")
        said["Progressing"] = Said(
            "True", "ClusterOperatorUpdating", _working(target, operators, late, others)
        )
    if standing is not None:
        said["Upgradeable"] = standing
    old = [c for c in status.get("conditions") or () if c["type"] != "Upgradeable" or standing is not None]
    new = [condition(kind, one.status, one.reason, one.message) for kind, one in said.items()]
    return {
        "desired": {"version": target.version, "image": target.image},
        "history": history,
        "conditions": merge_conditions(old, new),
        "observedGeneration": version["metadata"].get("generation", 1),
    }


def _begun(history: Sequence[Object], target: PayloadSeed) -> list[Object]:
    """The history with the target's entry on top."""
    if history and (history[0]["version"], history[0]["image"]) == (target.version, target.image):
        return list(history)
    now = stamp()
    before = [{**entry, "completionTime": entry.get("completionTime") or now} for entry in history[:1]]
    entry = {
        "state": "Partial",
        "version": target.version,
        "image": target.image,
        "startedTime": now,
        "completionTime": None,
        "verified": target.signed,
    }
    return [entry, *before, *history[1:]][:LONGEST_HISTORY]


def _completed(history: Sequence[Object]) -> list[Object]:
    first = history[0]
    if first["state"] == "Completed":
        return list(history)
    return [{**first, "state": "Completed", "completionTime": stamp()}, *history[1:]]


def _failing(away: Sequence[str], degraded: Sequence[str]) -> Said | None:
    names, what = (away, "not available") if away else (degraded, "degraded")
    if not names:
        return None
    word = "NotAvailable" if away else "Degraded"
    if len(names) == 1:
        return Said("True", f"ClusterOperator{word}", f"Cluster operator {names[0]} is {what}")
    return Said("True", f"ClusterOperators{word}", f"Cluster operators {', '.join(names)} are {what}")


def _short(away: Sequence[str], degraded: Sequence[str]) -> str:
    names, what = (away, "not available") if away else (degraded, "degraded")
    return (
        f"the cluster operator {names[0]} is {what}"
        if len(names) == 1
        else f"some cluster operators are {what}"
    )


def _working(target: PayloadSeed, operators: Sequence[Object], late: Sequence[Object], others: int) -> str:
    total = len(operators) + others
    done = operators.index(late[0]) + others
    stands = f"{done} of {total} done ({done * 100 // total}% complete)"
    return f"Working towards {target.version}: {stands}, waiting on {name_of(late[0])}"
