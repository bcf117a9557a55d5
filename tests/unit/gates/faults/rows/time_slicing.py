"""What time_slicing must say of a node."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from tests.unit.gates.faults.fault import Empty, Fault, Spoil
from tests.unit.gates.faults.recorded import Recorded

from knowngood.gate.driver import QUERY
from knowngood.model.verdict import Verdict


def replicas(number: int) -> Spoil:
    """The ConfigMap says another number than what is offered."""

    def spoil(node: Recorded) -> None:
        shared = {"sharing": {"timeSlicing": {"resources": [{"name": "nvidia.com/gpu", "replicas": number}]}}}
        node.config = replace(node.config, plugin={"four": shared})

    return spoil


PASS: Mapping[str, Spoil] = {"as it was": lambda _: None}
FAULTS: Mapping[str, Fault] = {
    "other replicas than configured": Fault(
        replicas(2), "32 of 16 nvidia.com/gpu are allocatable", base="sliced"
    ),
    "a way to share that is another": Fault(
        lambda n: n.labelled(**{"gpu_sharing-strategy": "mps"}),
        "says mps, configured is time-slicing",
        base="sliced",
    ),
    "a GPU that one process has alone": Fault(
        lambda n: n.edited(QUERY, "<compute_mode>Default", "<compute_mode>Exclusive_Process", 2),
        "0000:3a:00.0 is in compute mode Exclusive_Process",
        base="sliced",
    ),
    "a mode in no known word": Fault(
        lambda n: n.edited(QUERY, "<compute_mode>Default", "<compute_mode>Exclusive", 2),
        "the compute mode of 0000:3a:00.0 is not told",
        Verdict.INCONCLUSIVE,
        base="sliced",
    ),
    "a mode that is not told": Fault(
        lambda n: n.edited(QUERY, "<compute_mode>Default", "<compute_mode>N/A", 2),
        "the compute mode of 0000:3a:00.0 is not told",
        Verdict.INCONCLUSIVE,
        base="sliced",
    ),
    "a key that is not there": Fault(
        lambda n: setattr(n, "config", replace(n.config, plugin={})),
        "has no key four",
        Verdict.INCONCLUSIVE,
        base="sliced",
    ),
    "fewer than there are": Fault(
        lambda n: n.offers(gpu="7"),
        "7 of 8 nvidia.com/gpu are allocatable",
        also={"drift": "7 of 8 GPUs are allocatable"},
    ),
}
EMPTY: Mapping[str, Empty] = {
    "no ConfigMap": Empty(
        lambda n: setattr(
            n, "config", replace(n.config, plugin={}, plugin_trouble="there is no ConfigMap four")
        ),
        "there is no ConfigMap four",
        base="sliced",
    ),
    "no answer of the driver": Empty(
        lambda n: n.printed.update({QUERY: lambda _: ""}), "can't be read", base="sliced"
    ),
}
