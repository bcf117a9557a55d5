"""The same published lines, ours and what peers' patterns are known to miss: the table of docs/kernel-log.md."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from knowngood.gate.xid import is_continuation
from knowngood.probe.kernel_log.lines import of_text

from .test_samples import SAMPLES, Sample, samples

DOC = Path(__file__).parents[3] / "docs" / "kernel-log.md"
FEATURES = {
    "with a MIG instance": r"GPU-I:",
    "a code and nothing after it": r"\): \d+$",
    "an address with its function": r"Xid \((?:PCI:)?[\da-fA-F:]+\.\d",
    "an address without `PCI:`": r"Xid \(\d",
}
MISSES = {
    "gpud": {"with a MIG instance", "a code and nothing after it", "an address with its function"},
    "OCI": {"with a MIG instance", "an address without `PCI:`"},
    "imbue": {"with a MIG instance", "an address with its function", "an address without `PCI:`"},
    "DCGM": {"with a MIG instance", "a code and nothing after it", "an address without `PCI:`"},
    "GCM": set[str](),
}
"""What each can't read of a Xid line, as collected with the samples: leptonai/gpud@4a8de33a xid/kmsg.go, OCI's xid
checker, imbue-ai/cluster-health@8f5964ac, NVIDIA/DCGM@72fa3fea (a MIG line matches, but its address is spoilt),
facebookresearch/gcm@1b7bde97. Their patterns were run by the collector, not by us."""
SXID = {"gpud": "yes", "OCI": "not found", "imbue": "yes", "DCGM": "?", "GCM": "not found"}
ROWS = ("Xid, as most are", *FEATURES)


def features(sample: Sample) -> set[str]:
    return {name for name, pattern in FEATURES.items() if re.search(pattern, sample.line)}


def kind(sample: Sample) -> str:
    if sample.field("xid"):
        return "xid"
    if "sxid-continuation" in sample.expected or is_continuation(of_text(sample.line).message):
        return "continuation"
    if sample.field("sxid") or "fabric manager log" in sample.expected:
        return "sxid"
    return "signature" if "signature" in sample.expected and "continued" not in sample.expected else "other"


def read(sample: Sample, wanted: str) -> bool:
    event = of_text(sample.line).event()
    return event is not None and event.kind == wanted


def row(what: str, lines: list[Sample], ours: int, peers: list[str]) -> str:
    return "| " + " | ".join([what, str(len(lines)), str(ours), *peers]) + " |"


def table() -> str:
    found = samples()
    xids = [s for s in found if kind(s) == "xid"]
    lines = [
        "| lines | in the samples | ours | " + " | ".join(MISSES) + " |",
        "|" + "---|" * (3 + len(MISSES)),
    ]
    for name in ROWS:
        of = [s for s in xids if (name in features(s) if name in FEATURES else not features(s))]
        peers = [str(sum(not features(s) & missed for s in of)) for missed in MISSES.values()]
        lines.append(row(name, of, sum(read(s, "xid") for s in of), peers))
    switches = [s for s in found if kind(s) == "sxid"]
    lines.append(
        row(
            "SXid, Fabric Manager",
            switches,
            sum(read(s, "sxid") or read(s, "signature") for s in switches),
            [*SXID.values()],
        )
    )
    more = [s for s in found if kind(s) == "continuation"]
    lines.append(row("goes on with an SXid: no event", more, sum(read(s, "sxid") for s in more), ["?"] * 5))
    return "\n".join(lines)


def test_the_table_says_what_the_lines_say() -> None:
    if not SAMPLES.exists():
        pytest.skip(f"the samples are not here: {SAMPLES}")
    assert table() in DOC.read_text()


def test_no_xid_that_a_peer_reads_is_missed_by_ours() -> None:
    if not SAMPLES.exists():
        pytest.skip(f"the samples are not here: {SAMPLES}")
    xids = [s for s in samples() if kind(s) == "xid"]
    assert xids
    assert [s.line for s in xids if not read(s, "xid")] == []
