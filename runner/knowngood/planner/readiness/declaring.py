"""What the live objects that declare drivers and operands say against a run: policies, tolerations, conditions. Pure.

Objects are the API's JSON. What a field's absence means is from the operators' sources: for an NVIDIADriver (GPU
Operator from 26.7) autoUpgrade is on unless it is written off, for a ClusterPolicy and for DOCA-OFED it is off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.names import MAINTENANCE_TAINT, QUARANTINE_TAINT
from knowngood.model.values import Values

Object = Values
NVIDIA_DRIVER, CLUSTER_POLICY = "NVIDIADriver", "ClusterPolicy"
GPU_TAINT = "nvidia.com/gpu"
HELM_RELEASE = "meta.helm.sh/release-name"
TROUBLE = frozenset({"Error", "Degraded", "ConflictingNodeSelector", "ReconcileFailed"})
"""Types of conditions that are bad where they are True. Their reasons and messages vary by version."""
BAD_STATES = frozenset({"notReady", "error", "disabled"})


@dataclass(frozen=True, slots=True)
class Part:
    """What an object declares: one kind of driver, with the fields that decide how it moves.

    `upgrades`: whether the operator would move nodes by itself. `tolerations` is None where it declares no pods.
    """

    upgrades: bool
    upgrade_path: str
    tolerations: Sequence[Object] | None
    tolerations_path: str


def name_of(obj: Object) -> str:
    """`NVIDIADriver ring-0`."""
    return f"{obj['kind']} {obj['metadata']['name']}"


def part_of(obj: Object) -> Part:
    """An object's upgrade policy and tolerations, by its kind."""
    spec = obj.get("spec") or {}
    if obj["kind"] == NVIDIA_DRIVER:
        policy = (spec.get("upgradePolicy") or {}).get("autoUpgrade", True)
        return Part(
            policy is not False, "spec.upgradePolicy", spec.get("tolerations") or (), "spec.tolerations"
        )
    if obj["kind"] == CLUSTER_POLICY:
        driver, daemon_sets = spec.get("driver") or {}, spec.get("daemonsets") or {}
        policy = (driver.get("upgradePolicy") or {}).get("autoUpgrade")
        on = bool(policy) and driver.get("enabled") is not False
        return Part(
            on,
            "spec.driver.upgradePolicy",
            daemon_sets.get("tolerations") or (),
            "spec.daemonsets.tolerations",
        )
    ofed = spec.get("ofedDriver")
    on = bool(((ofed or {}).get("upgradePolicy") or {}).get("autoUpgrade"))
    pods = (spec.get("tolerations") or ()) if ofed is not None else None
    return Part(on, "spec.ofedDriver.upgradePolicy", pods, "spec.tolerations")


def against_moving(obj: Object, taints: Iterable[str]) -> Iterator[Finding]:
    """What an object's fields say against a run: autoUpgrade that is on, one of our taints that is not tolerated.

    `taints`: keys of NoSchedule and NoExecute taints that GPU nodes have now. A ClusterPolicy's list of tolerations
    replaces the operator's own, so that it must hold nvidia.com/gpu too where the nodes have that taint.
    """
    where, part = name_of(obj), part_of(obj)
    if part.upgrades:
        what = "autoUpgrade is on: its operator would drain nodes and reload drivers by itself"
        yield refused(where, what, f"set {part.upgrade_path}.autoUpgrade: false in Git")
    if part.tolerations is None:
        return
    wanted = [MAINTENANCE_TAINT, QUARANTINE_TAINT]
    if obj["kind"] == CLUSTER_POLICY and GPU_TAINT in set(taints):
        wanted.append(GPU_TAINT)
    lacking = [key for key in wanted if not tolerates(part.tolerations, key)]
    if lacking:
        what = f"its pods do not tolerate {' and '.join(lacking)}: on a node that has it they would not come back"
        yield refused(where, what, f"add it to {part.tolerations_path} in Git, with operator Exists")


def tolerates(tolerations: Iterable[Object], key: str) -> bool:
    """Whether a taint of that key, any value, effect NoSchedule, is tolerated."""
    for entry in tolerations:
        keys = entry.get("key") in {key, None, ""}
        exists = entry.get("operator") == "Exists"
        if keys and exists and entry.get("effect") in {None, "", "NoSchedule"}:
            return True
    return False


def against_owner(obj: Object) -> Iterator[Finding]:
    """A Helm release that owns the object: its next upgrade would write its own values over ours.

    Charts that Argo CD renders have the label managed-by as well, but not Helm's annotation.
    """
    release = (obj["metadata"].get("annotations") or {}).get(HELM_RELEASE)
    if release:
        hint = "take it out of the chart and leave it to Git, or move it by the chart's values"
        yield refused(
            name_of(obj), f"Helm release {release} owns it, and would take a change of Git back", hint
        )


def against_trusting(obj: Object) -> Iterator[Finding]:
    """What an object's status says: its operator has not taken it, is in trouble with it, or has not looked yet."""
    where, metadata, status = name_of(obj), obj["metadata"], obj.get("status") or {}
    if metadata.get("deletionTimestamp"):
        yield refused(where, "it is being deleted", "find out who deletes it")
        return
    conditions = {str(c.get("type")): c for c in status.get("conditions") or ()}
    observed = [status.get("observedGeneration"), *(c.get("observedGeneration") for c in conditions.values())]
    looked_at = min((int(number) for number in observed if number), default=None)
    if looked_at is not None and looked_at < int(metadata.get("generation") or 0):
        what = f"its operator has looked at generation {looked_at}, not yet at {metadata['generation']}"
        yield unknown(where, what, "see whether its operator runs", passes=True)
        return
    trouble = [c for kind, c in conditions.items() if kind in TROUBLE and c.get("status") == "True"]
    ready = conditions.get("Ready") or {}
    if trouble or ready.get("status") == "False":
        yield refused(
            where, _told((trouble or [ready])[0]), "see its status and its operator's log", passes=True
        )
    elif ready.get("status") not in {None, "True"}:
        yield unknown(where, _told(ready), "see its operator's log", passes=True)
    elif not conditions:
        yield from _by_state(where, str(status.get("state") or ""))


def _by_state(where: str, state: str) -> Iterator[Finding]:
    """Of an object without conditions: older operators write a state only."""
    if state in BAD_STATES:
        yield refused(where, f"its state is {state}", "see its operator's log", passes=True)
    elif state != "ready":
        yield unknown(
            where, "its operator has said nothing about it", "see whether its operator runs", passes=True
        )


def _told(condition: Object) -> str:
    text = f"condition {condition.get('type')} is {condition.get('status')}: {condition.get('reason') or 'no reason'}"
    message = str(condition.get("message") or "")[:200]
    return f"{text}: {message}" if message else text
