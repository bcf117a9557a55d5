"""What operators must say of a node and of the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tests.unit.gates.faults.fault import Empty, Fault, Spoil
from tests.unit.gates.faults.recorded import Recorded

from knowngood.adapters.judging.operand_view import VALIDATOR
from knowngood.model.verdict import Verdict

EXPORTER = "nvidia-dcgm-exporter"
LONG_AGO, JUST_NOW = "2026-11-29T10:00:00Z", "2026-11-29T12:59:30Z"


def not_ready(name: str, since: str, **waiting: Any) -> Spoil:
    def spoil(node: Recorded) -> None:
        status = node.pod(name)["status"]
        for one in status["conditions"]:
            if one["type"] == "Ready":
                one |= {"status": "False", "lastTransitionTime": since}
        (first, *_) = status["containerStatuses"]
        first |= {"ready": False, "state": {"waiting": {"reason": "CrashLoopBackOff"}}, **waiting}

    return spoil


def ready_since(node: Recorded) -> None:
    for one in node.pod(VALIDATOR)["status"]["conditions"]:
        one["lastTransitionTime"] = LONG_AGO


def older(node: Recorded) -> None:
    """It stayed, though the driver was started anew."""
    ready_since(node)
    (first, *_) = node.pod(VALIDATOR)["status"]["containerStatuses"]
    first["state"]["running"]["startedAt"] = LONG_AGO


def unproven(node: Recorded) -> None:
    ready_since(node)
    for one in node.pod(VALIDATOR)["status"]["initContainerStatuses"]:
        one["state"] = {"terminated": {"exitCode": 1 if one["name"] == "cuda-validation" else 0}}


def restarted(times: int) -> Spoil:
    def spoil(node: Recorded) -> None:
        node.pod(EXPORTER)["status"]["containerStatuses"][0]["restartCount"] = times

    return spoil


def without(name: str) -> Spoil:
    return lambda n: n.pods.remove(n.pod(name))


def declared(**changes: Any) -> Spoil:
    def spoil(node: Recorded) -> None:
        node.declared = [replace(one, **changes) for one in node.declared]

    return spoil


PASS: Mapping[str, Spoil] = {
    "as it was": lambda _: None,
    "restarts within the limit": restarted(2),
    "a catalog in trouble": declared(notes=("a catalog is unhealthy",)),
}
FAULTS: Mapping[str, Fault] = {
    "an operand that does not become ready": Fault(
        not_ready(EXPORTER, LONG_AGO),
        f"{EXPORTER}: nvidia-dcgm-exporter: CrashLoopBackOff for",
        also={"drift": EXPORTER},
    ),
    "one that may still": Fault(
        not_ready(EXPORTER, JUST_NOW),
        f"{EXPORTER}: nvidia-dcgm-exporter: CrashLoopBackOff for 30 s",
        Verdict.INCONCLUSIVE,
        also={"drift": EXPORTER},
    ),
    "an operand that is not there": Fault(
        without(EXPORTER),
        f"{EXPORTER} selects the node and has no pod",
        also={"drift": f"{EXPORTER} is gone"},
    ),
    "a parked operand": Fault(
        lambda n: n.labelled(gpu_deploy_dcgm="paused-for-driver-upgrade"),
        "is parked",
        also={"drift": "dcgm is parked"},
    ),
    "restarts beyond the limit": Fault(restarted(3), f"{EXPORTER} restarted 3 times, 2 allowed"),
    "a validator of the driver before": Fault(older, "the validator ran at"),
    "a validator that skipped a part": Fault(unproven, "the validator is ready without cuda-validation"),
    "another operator": Fault(declared(version="24.9.2"), "gpu-operator (Subscription"),
    "an operator that failed": Fault(declared(phase="Failed"), "Failed for 9000 s"),
    "one that does not end": Fault(
        declared(phase="Installing", age=20.0), "Installing for 20 s", Verdict.INCONCLUSIVE
    ),
    "no operator where one is declared": Fault(
        declared(trouble="it is gone"), "it is gone", Verdict.INCONCLUSIVE
    ),
    "a controller that refuses": Fault(
        lambda n: n.refusals.append("NVIDIADriver ring-0: ConflictingNodeSelector"), "ConflictingNodeSelector"
    ),
}


def nothing(node: Recorded) -> None:
    node.sets.clear()
    node.pods = [p for p in node.pods if "driver" in p["metadata"]["name"]]


def no_pod(node: Recorded) -> None:
    node.sets.clear()
    node.pods.clear()


EMPTY: Mapping[str, Empty] = {
    "no validator": Empty(nothing, "no validator runs on this node"),
    "no pod": Empty(no_pod, "no pod of an operator was found"),
}
