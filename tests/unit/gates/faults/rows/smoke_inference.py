"""What smoke_inference must say of a payload's answer. What the payload itself finds, and how it names the rank, is
sabotaged under torch in tests/integration/smoke."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.gates.faults.fault import Empty, Fault, Spoil

from knowngood.model.verdict import Verdict


def figures(**changes: Any) -> Spoil:
    return lambda n: n.figures("inference", **changes)


def said(ok: bool | None, reason: str) -> Spoil:
    return lambda n: n.results["inference"].update({"ok": ok, "reason": reason})


WRONG = "device 3 (GPU-3): the answer is another than the reference's"
PASS: Mapping[str, Spoil] = {
    "as it was": lambda _: None,
    "a little slower": figures(firstTokenP50Ms=28.0, requestsPerSecond=92.0),
}
FAULTS: Mapping[str, Fault] = {
    "a wrong answer": Fault(said(False, WRONG), WRONG),
    "fewer requests": Fault(
        figures(requestsPerSecond=80.0), "requestsPerSecond is 80, before the change 100"
    ),
    "a late first token": Fault(figures(firstTokenP50Ms=31.0), "firstTokenP50Ms is 31, before the change 20"),
    "late next tokens": Fault(figures(nextTokenP99Ms=12.5), "nextTokenP99Ms is 12.5, before the change 8"),
    "a slow device": Fault(
        figures(rankTokensPerSecond=[900.0] * 7 + [300.0]), "rank 7 (GPU-7) computes 300 tokens/s by itself"
    ),
    "a server that did not come up": Fault(
        said(None, "device 3 (GPU-3): it did not answer"), "device 3 (GPU-3)", Verdict.INCONCLUSIVE
    ),
}
EMPTY: Mapping[str, Empty] = {
    "no result of this payload": Empty(lambda n: n.results.pop("inference"), "lacks this payload's result"),
    "no figures": Empty(lambda n: n.results["inference"].update(measured={}), "was not measured"),
}
