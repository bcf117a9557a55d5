"""What whole runs under a fault must end as, row by row: played by the tests beside this file, told by docs/twin.md.

A row says where its fault strikes, what must catch it and how the run ends. `lines` has all of them in the words of the
page, which a test holds equal to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.integration.play import Play

OLD, NEW = "580.173.02", "595.91.07"
CANARY, LATER = "lab-gpu-1", "lab-gpu-2"
GUARDED = "hub"  # the tenant's workload under a budget
OUTAGE_SECONDS = 3
QUICK = {
    "applySeconds": 40,
    "operandAgeSeconds": 12,
    "nodeUnreachableSeconds": 12,
    "drainSeconds": 20,
    "deliverSeconds": 20,
    "undoSeconds": 15,
}


def evictions_were_held_up(play: Play, hit: datetime) -> bool:
    """The canary's pods under a budget stayed until the twin loosened the budget again, and then one went."""
    changed = [
        moment(r) for r in play.audit() if r["kind"] == "PodDisruptionBudget" and r["userAgent"] == "twin"
    ]
    went = [
        moment(e)
        for e in play.events()
        if (e["event"], e["node"]) == ("pod-evicted", CANARY) and e["pod"].startswith(GUARDED)
    ]
    loosened = min((time for time in changed if time > hit), default=hit)
    return not any(hit < time < loosened for time in went) and any(time > loosened > hit for time in went)


def nobody_was_answered(play: Play, hit: datetime) -> bool:
    """No write was accepted for the outage's seconds, and then they went on."""
    later = [moment(r) - hit for r in play.audit() if moment(r) > hit]
    return min(later, default=timedelta()) >= timedelta(seconds=OUTAGE_SECONDS)


def moment(entry: Mapping[str, Any]) -> datetime:
    """When it happened."""
    return datetime.fromisoformat(entry["time"])


@dataclass(frozen=True)
class Row:
    """A fault, where it strikes, what must catch it (text of the reason), and how the run must end.

    A row that ends done has `felt`: whether the twin's books show the effect after the moment that the fault hit.
    """

    fault: str
    node: str
    caught_by: str
    end: str
    code: int
    named: tuple[str, ...] = ()
    params: Mapping[str, str] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=lambda: QUICK)
    note: str = ""
    felt: Callable[[Play, datetime], bool] | None = None

    @property
    def id(self) -> str:
        return f"{self.fault}{f' ({self.note})' if self.note else ''}"


RELEASE = {"version": NEW}
TABLE = [
    Row("xid-79", CANARY, "it has 7 GPUs", "refused", 1, (CANARY,), note="before the start"),
    Row("xid-31-after-driver", CANARY, "gpu_errors", "restored", 6, (CANARY,), RELEASE),
    Row("xid-31-after-driver", LATER, "gpu_errors", "held", 5, (LATER,), RELEASE, note="in a later ring"),
    Row("xid-119-after-driver", CANARY, "gpu_errors", "restored", 6, (CANARY,), RELEASE),
    Row("driver-in-use", CANARY, "apply", "restored", 6, (CANARY,), RELEASE),
    Row("module-not-reloaded", CANARY, "apply", "restored", 6, (CANARY,), RELEASE),
    Row("validator-missing", CANARY, "nvidia-operator-validator", "restored", 6, (CANARY,), RELEASE),
    Row("operands-left-paused", CANARY, "parked", "restored", 6, (CANARY,), RELEASE),
    Row("stale-gfd-label", CANARY, "drift", "restored", 6, (CANARY,), RELEASE),
    Row("dma-buf-falls-back", CANARY, "rdma_health", "restored", 6, (CANARY,), RELEASE),
    Row("ib-link-flap", CANARY, "rdma_health", "restored", 6, (CANARY,), {"times": "1"}, note="once"),
    Row("ib-link-flap", CANARY, "rdma_health", "quarantined", 5, (CANARY,), note="the undo does not cure it"),
    Row("node-stays-down", CANARY, "not Ready", "quarantined", 5, (CANARY,), RELEASE),
    Row(
        "node-reboots",
        CANARY,
        "rebooted since the window opened",
        "restored",
        6,
        (CANARY,),
        {"when": "on-uncordon", "version": NEW, "seconds": "60"},  # a second on the twin's clock
        note="by itself, in the soak",
    ),
    Row("argo-sync-fails", "", "sync", "restored", 6, params={"which": "ours-only"}),
    Row("argo-sync-fails", "", "sync", "", 130, params={"which": "revert-too"}, note="the revert too"),
    Row("pdb-blocks-drain", CANARY, "drain", "restored", 6, (CANARY,)),
    Row(
        "evict-429-halfway",
        CANARY,
        "",
        "done",
        0,
        params={"seconds": "240"},  # 4 s on the twin's clock; the tenant's deadline is 10
        note="then it lets go",
        felt=evictions_were_held_up,
    ),
    Row(
        "api-outage",
        "",
        "",
        "done",
        0,
        params={"when": "on-commit", "seconds": str(OUTAGE_SECONDS)},
        note="shorter than the Lease",
        felt=nobody_was_answered,
    ),
]

FORWARD = Row(
    "kubelet-stays-away",
    CANARY,
    "not Ready",
    "held",
    5,
    (CANARY,),
    limits={**QUICK, "nodeUnreachableSeconds": 20, "settleSeconds": 120},
    note="in the canary",
)
"""Of a hop that can't be undone: whatever stops it, the rest stays as it is."""

TWICE = Row(
    "fails-at-second-load",
    CANARY,
    "latent_fault",
    "restored",
    6,
    (CANARY,),
    RELEASE,
    {**QUICK, "operandAgeSeconds": 6},
)

LAYOUT = Row("mig-manager-wedges", "mig-gpu-1", "mig.config.state is pending", "restored", 6, ("mig-gpu-1",))

FRA_CANARY, FRA_LATER, FRA_LAST = "fra-gpu-1", "fra-gpu-2", "fra-gpu-3"
FRA_QUICK = {**QUICK, "settleSeconds": 20}


@dataclass(frozen=True)
class Once:
    """A fault while something that is declared once for all nodes moves, and which nodes load another driver before
    all is as it was.
    """

    fault: str
    node: str
    caught_by: str
    moved: tuple[str, ...]
    params: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    end: str = "restored"
    code: int = 6

    @property
    def id(self) -> str:
        return f"{self.fault}{f' ({self.note})' if self.note else ''}"


FRA_OLD, FRA_NEW = "580.105.08", "580.126.16"
FRA_RELEASE = {"version": FRA_NEW}
ONCE = [
    Once("leaked-node", FRA_LAST, "before its turn", (FRA_LAST,), note="before the canary's turn"),
    Once(
        "validator-missing",
        FRA_CANARY,
        "nvidia-operator-validator",
        (FRA_CANARY,),
        FRA_RELEASE,
        "in the canary",
    ),
    Once(
        "validator-missing",
        FRA_LAST,
        "nvidia-operator-validator",
        (FRA_CANARY, FRA_LATER, FRA_LAST),
        FRA_RELEASE,
        "in the last ring",
    ),
    Once("operator-default-driver", "", "580.95.05", (), FRA_RELEASE),
]
NO_IMAGE = Once("os-tag-of-one-node", "", "ImagePullBackOff", (), FRA_RELEASE, "rolled back", "restored", 6)
"""It interrupts the run, exit 130: nobody pulled the image, which says nothing of the release."""
NIC_OLD_SAYS, NIC_NEW_SAYS = "25.10-1.2.8", "26.01-1.0.0"
NIC = [
    Once("ib-link-flap", FRA_CANARY, "rdma_health", (FRA_CANARY,), {"times": "1"}, "in the canary"),
    Once(
        "doca-dtk-mismatch",
        FRA_LAST,
        "mofed-container",
        (FRA_CANARY, FRA_LATER),
        {"version": NIC_NEW_SAYS},
        "in the last ring",
    ),
]
SYSTEM = Row(
    "talos-rolls-back",
    "tal-gpu-1",
    "it went back by itself",
    "restored",
    6,
    ("tal-gpu-1",),
    {"version": "1.13.8"},
)
"""A machine takes another Talos, and comes up in the one before."""
COUPLED = Once("xid-31-after-driver", "rdma-gpu-1", "gpu_errors", ("rdma-gpu-1",), RELEASE, "in the canary")
"""Four components come with one drain."""
FIRMWARE = Once("xid-31-after-driver", "fw-gpu-1", "gpu_errors", ("fw-gpu-1",), RELEASE, "with firmware")
"""BIOS, BMC and driver do."""


@dataclass(frozen=True)
class OfOperator:
    """Faults of OLM, each with a node or none; how the run must end, and what it must say."""

    faults: tuple[tuple[str, str], ...]
    end: str
    code: int
    says: str

    @property
    def id(self) -> str:
        return " and ".join(name for name, _ in self.faults)


CSV, CSV_NEW = "gpu-operator-certified.v", "26.3.3"
OPERATORS = [
    OfOperator((("olm-plan-carries-more", ""),), "refused", 1, "it waits with neighbour-operator.v1.0.0"),
    OfOperator((("olm-catalog-moves", ""),), "refused", 1, f"so OLM makes none for {CSV}{CSV_NEW}"),
    OfOperator((("olm-install-times-out", ""),), "restored", 6, f"{CSV}{CSV_NEW}"),
    OfOperator(
        (("olm-stale-subscription", ""), ("xid-31-after-driver", FRA_CANARY)), "restored", 6, "gpu_errors"
    ),
]


FLASH = Row(
    "nic-burned-not-running",
    "rdma-gpu-1",
    "its operator says that it runs",
    "restored",
    6,
    ("rdma-gpu-1",),
    {"version": "28.46.1006"},
)
"""NIC firmware alone, which each ring's commit starts by itself."""


PARTED = Row(
    "vfs-come-back-fewer",
    "rdma-gpu-1",
    "its operator says that it is done",
    "restored",
    6,
    ("rdma-gpu-1",),
    {"version": "8"},
)
"""Virtual functions alone, which each ring's commit has made by itself."""


CHART_NEW = "0.13.0"
CHART = Once("chart-image-is-missing", "", "ImagePullBackOff", (), {"version": CHART_NEW})


def shown() -> Iterator[tuple[str, str, str, str]]:
    """Each row as docs/twin.md tells it: its test there, the fault with where or when, what catches it, the end."""
    for test, whole in (
        ("table", TABLE),
        ("twice", [TWICE]),
        ("layouts", [LAYOUT]),
        ("nics", [FLASH]),
        ("vfs", [PARTED]),
        ("system", [SYSTEM]),
        ("release", [FORWARD]),
    ):
        for row in whole:
            yield test, _named(row.fault, row.note), row.caught_by, row.end or "interrupted"
    for test, rows in (
        ("once", [*ONCE, NO_IMAGE]),
        ("nic", NIC),
        ("coupled", [COUPLED]),
        ("firmware", [FIRMWARE]),
        ("charts", [CHART]),
    ):
        for one in rows:
            yield test, _named(one.fault, one.note), one.caught_by, one.end
    for of in OPERATORS:
        yield "operators", " and ".join(f"`{name}`" for name, _ in of.faults), of.says, of.end


def _named(fault: str, note: str) -> str:
    return f"`{fault}`{f', {note}' if note else ''}"


def lines() -> list[str]:
    """The table of docs/twin.md."""
    rows = [("Test", "Fault", "Caught by", "The run ends"), ("---",) * 4, *shown()]
    return [f"| {' | '.join(cell or '-' for cell in row)} |" for row in rows]
