"""Which release image the cluster-version operator takes, and what it says when it does not. Pure.

As the real one was recorded (openshift/cluster-version-operator 6e71933): a refusal shows in ReleaseAccepted alone, and
`force` passes everything, even the way back over a minor.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from knowngood.twin.behaviours.kube import Kind
from knowngood.twin.release_objects import loaded
from knowngood.twin.seed import PayloadSeed
from knowngood.twin.values import Object

CLUSTER_VERSION: Kind = ("config.openshift.io/v1", "ClusterVersion")
CLUSTER_OPERATOR: Kind = ("config.openshift.io/v1", "ClusterOperator")
UPDATING = "An update is already in progress and the details are in the Progressing condition."
MANY = "Cluster should not be upgraded between minor or major versions for multiple reasons:"


@dataclass(frozen=True, slots=True)
class Said:
    """One condition: its status, reason and message."""

    status: str
    reason: str = ""
    message: str = ""


def numbers(version: str) -> tuple[int, ...]:
    """4.18.52 as numbers; what stands behind a hyphen does not count."""
    return tuple(int(part) for part in version.partition("-")[0].split(".") if part.isdigit())


def minor(version: str) -> tuple[int, ...]:
    """4.18 of 4.18.52."""
    return numbers(version)[:2]


def previous(history: Sequence[Object]) -> Object | None:
    """The newest other entry: the only one that a way back within a minor leads to."""
    current = history[0] if history else {}
    for entry in history[1:]:
        if (entry["version"], entry["image"]) != (current["version"], current["image"]):
            return entry
    return None


def said_of(conditions: Sequence[Object], kind: str) -> Said:
    """A condition of an object; an empty one where it is absent."""
    for one in conditions:
        if one["type"] == kind:
            return Said(one["status"], one.get("reason", ""), one.get("message", ""))
    return Said("")


def upgradeable(
    version: Object, operators: Sequence[Object], unacknowledged: Mapping[str, str]
) -> Said | None:
    """The condition Upgradeable, None where nothing stands against a new minor."""
    reasons: list[Said] = []
    conditions = (version.get("status") or {}).get("conditions") or ()
    if said_of(conditions, "Progressing").status == "True":
        reasons.append(Said("False", "ClusterVersionUpdating", UPDATING))
    for operator in operators:
        said = said_of((operator.get("status") or {}).get("conditions") or (), "Upgradeable")
        if said.status == "False":
            reasons.append(said)
    for ack, why in unacknowledged.items():
        reasons.append(Said("False", "AdminAckRequired", why or ack))
    overridden = [o for o in version["spec"].get("overrides") or () if o.get("unmanaged")]
    if overridden:
        told = "Disabling ownership via cluster version overrides prevents upgrades."
        reasons.append(Said("False", "ClusterVersionOverridesSet", told))
    if len(reasons) < 2:
        return reasons[0] if reasons else None
    lines = [MANY, *(f"* {one.message}" for one in reasons)]
    return Said("False", "MultipleReasons", "\n".join(lines))


def accepted(
    wanted: Object, payload: PayloadSeed | None, version: Object, standing: Said | None, *, known: bool
) -> tuple[bool, Said]:
    """Whether the operator takes what spec.desiredUpdate names, and what it says.

    `payload`: what the mirror holds under that image. `standing`: the condition Upgradeable now. `known`: it is what
    is applied already.
    """
    name = f'version="{wanted.get("version", "")}" image="{wanted.get("image", "")}"'
    if payload is None:
        return False, _unretrieved(
            name, "Unable to download and prepare the update: no such image in the mirror"
        )
    if not (known or wanted.get("force")):
        if not payload.signed:
            return False, _unretrieved(name, "The update cannot be verified: verification is not possible")
        if failed := _preconditions(payload, version, standing):
            told = f"Preconditions failed for payload loaded {name}: {failed}"
            return False, Said("False", "PreconditionChecks", told)
    return True, Said("True", "PayloadLoaded", loaded(payload.version, payload.image))


def _unretrieved(name: str, failure: str) -> Said:
    return Said("False", "RetrievePayload", f"Retrieving payload failed {name} failure={failure}")


def _preconditions(payload: PayloadSeed, version: Object, standing: Said | None) -> str:
    history = version["status"]["history"]
    current = version["status"]["desired"]["version"]
    if numbers(payload.version) < numbers(current):
        before = previous(history)
        if before is None or before["image"] != payload.image:
            only = f"{before['version']} ({before['image']})" if before else "none"
            return (
                f'Precondition "ClusterVersionRollback" failed because of "LowDesiredVersion": {payload.version} is '
                f"less than the current target {current}, and the only supported rollback is to the cluster's previous "
                f"version {only}"
            )
        if minor(payload.version) != minor(current):
            return (
                f'Precondition "ClusterVersionRollback" failed because of "LowDesiredVersion": {payload.version} is '
                f"less than the current target {current} and matches the cluster's previous version, but rollbacks "
                "that change major or minor versions are not recommended"
            )
    if minor(payload.version) > minor(current) and standing is not None and standing.status == "False":
        return f'Precondition "ClusterVersionUpgradeable" failed because of "{standing.reason}": {standing.message}'
    return ""
