"""Rules about what a profile says of its gates: a bound that nobody reads bounds nothing, and everything passes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from knowngood.matrix.documents import Document
from knowngood.matrix.lint.registry import Context, Finding, known_are, rule

OF_ALL = frozenset(
    [
        "kind",
        "backend",
        "failsAtOnce",
        "withinDays",
        "needs",
        "source",
        "settleSeconds",
        "components",
        "minutes",
    ]
)
"""What is said of any gate."""
_SPEEDS = "minAllReduceGBps minAllReduceRatio minThroughputRatio minPoolRatio minRankRatio minPairRatio"
OF_GATES: Mapping[str, frozenset[str]] = {
    gate: frozenset(names.split())
    for gate, names in {
        "drift": "",
        "driver_health": "pcieGen pcieWidth nvlinks nvlinkGBps maxAggregateSram maxVolatileSram maxVolatileDram "
        "maxRemappedRows ecc persistence notApplicable",
        "fabric": "rounds seconds bytes gidIndex nccl ncclBytes ncclSeconds minGbPerSecond minBaselineRatio "
        "minPoolRatio maxReadLatencyUs maxLatencyRatio minAllReduceGBps minAllReduceRatio",
        "gpu_errors": "maxSameXid",
        "latent_fault": "",
        "mig_layout": "",
        "operators": "maxRestarts",
        "rdma_health": "expectedPorts rateGbps maxLinkDowned maxLinkDownedPerLoad maxLocalLinkIntegrityErrors "
        "maxExcessiveBufferOverrunErrors maxSymbolErrorsPerHour maxLinkErrorRecoveryPerMinute "
        "maxPortRcvErrorsPerSecond maxPortXmitDiscardsPerSecond maxLocalAckTimeoutsPerSecond "
        "maxRoceSlowRestartsPerSecond countersThatInform countersThatMayNotGrow",
        "registry": "",
        "smoke_inference": f"requests concurrency patience stallSeconds minRequestsPerSecond maxFirstTokenP50Ms "
        f"maxNextTokenP99Ms maxLatencyRatio {_SPEEDS}",
        "smoke_training": f"seconds stallSeconds minTokensPerSecond {_SPEEDS}",
        "time_slicing": "",
    }.items()
}
"""What each gate that ships reads of its own; a test holds the bounds to the gates' sources."""
NUMBERS = frozenset(
    [
        "nvlinks",
        "nvlinkGBps",
        "rateGbps",
        "expectedPorts",
        "pcieGen",
        "pcieWidth",
        "rounds",
        "seconds",
        "settleSeconds",
    ]
)
"""Numbers that are no bounds by their name. The others are told by it: minX, maxX."""


@rule("KG435", "A gate's bounds are numbers, none below zero, and such as the gate reads.")
def bounds_are_numbers_that_are_read(context: Context) -> Iterator[Finding]:
    """A floor with a slip of the pen, or written as a text, is no floor: everything passes."""
    for document, gate, name, value in _said(context):
        bound = is_bound(name)
        if (bound or name in NUMBERS) and not _is_number(value):
            message = f"{name} of {gate} is {value!r}, which is no number of zero or more"
            yield Finding(document.at("gates", gate, name), message, "write it plainly, as 360 or 0.95")
        elif bound and name not in OF_GATES.get(gate, {name}):
            message = f"{gate} reads no {name}, so nothing keeps it"
            bounds = filter(is_bound, OF_GATES[gate])
            yield Finding(document.at("gates", gate, name), message, known_are(bounds, name))


@rule("KG436", "A parameter of a gate that ships is one that it reads.", severity="warning")
def parameters_are_read(context: Context) -> Iterator[Finding]:
    """What nobody reads changes nothing, and who wrote it thinks that it does."""
    for document, gate, name, _ in _said(context):
        known = OF_ALL | OF_GATES.get(gate, {name})
        if name not in known and not is_bound(name):
            message = f"{gate} reads no {name}"
            yield Finding(document.at("gates", gate, name), message, known_are(known, name))


def is_bound(name: str) -> bool:
    """Whether a parameter's name says that it is a floor or a ceiling."""
    return name[:3] in ("min", "max") and name[3:4].isupper()


def _said(context: Context) -> Iterator[tuple[Document, str, str, Any]]:
    """Document, gate, parameter and value. A gate that a team brings has parameters of its own."""
    for document in context.documents.of("profiles").values():
        for gate, said in document.value["gates"].items():
            for name, value in said.items():
                yield document, gate, name, value


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value >= 0
