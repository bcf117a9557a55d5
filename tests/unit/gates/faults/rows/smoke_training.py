"""What smoke_training must say of a payload's answer. What the payload itself finds, and how it names the rank, is
sabotaged under torch in tests/integration/smoke."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.unit.gates.faults.fault import Empty, Fault, Spoil

from knowngood.model.verdict import Verdict

EIGHT = range(8)
PAIRS = {f"{a}-{b}": 340.0 for a in EIGHT for b in EIGHT if a < b}
WORDS = {
    "a wrong gradient": "rank 3 (GPU-3): step 0: the gradient before the reduction is negated",
    "a rank that hangs": "rank 3 (GPU-3): it hangs at step 0: gradients",
    "a rank that aborts": "rank 3 (GPU-3): it ended by SIGABRT at step 0: gradients",
    "a wrong product": "rank 3 (GPU-3): 128 rows of a product of whole numbers in fp32 are wrong",
    "sockets": "rank 3 (GPU-3): NCCL goes by NET/Socket",
}
"""As the payload says them."""


def figures(**changes: Any) -> Spoil:
    return lambda n: n.figures("training", **changes)


def said(ok: bool | None, reason: str, **more: Any) -> Spoil:
    return lambda n: n.results["training"].update({"ok": ok, "reason": reason, **more})


PASS: Mapping[str, Spoil] = {
    "as it was": lambda _: None,
    "a little slower": figures(tokensPerSecond=92_000.0, allReduceGBps=440.0),
}
FAULTS: Mapping[str, Fault] = {
    **{name: Fault(said(False, words), words) for name, words in WORDS.items()},
    "a slow rank": Fault(
        figures(rankTokensPerSecond=[13_000.0] * 5 + [9_000.0, 13_000.0, 13_000.0]),
        "rank 5 (GPU-5) computes 9000 tokens/s by itself",
    ),
    "a link at half its rate": Fault(
        figures(pairGBps={**PAIRS, "2-6": 170.0}), "the link between GPU-2 and GPU-6 gives 170 GB/s"
    ),
    "all links of a GPU": Fault(
        figures(pairGBps={k: 170.0 if "3" in k else v for k, v in PAIRS.items()}),
        "every link of GPU-3 is slow",
    ),
    "a slower all-reduce": Fault(figures(allReduceGBps=400.0), "allReduceGBps is 400, before the change 480"),
    "a slower node": Fault(figures(tokensPerSecond=80_000.0), "tokensPerSecond is 80000"),
    "another transport": Fault(figures(transports={"SHM": 8}), "NCCL goes by SHM, before the change by NVLS"),
    "out of memory": Fault(
        said(None, "rank 3 (GPU-3): out of memory"), "rank 3 (GPU-3): out of memory", Verdict.INCONCLUSIVE
    ),
    "another backend": Fault(
        said(True, "", backend="reference"), "it ran on reference", Verdict.INCONCLUSIVE
    ),
    "an answer of an older boot": Fault(
        lambda n: n.answered.update(bootId="0" * 32),
        "the node was rebooted while it was judged",
        Verdict.INCONCLUSIVE,
        also={"smoke_inference": "the node was rebooted while it was judged"},
    ),
}
EMPTY: Mapping[str, Empty] = {
    "no answer": Empty(lambda n: setattr(n, "unanswered", "no room on the node"), "no room on the node"),
    "no result of this payload": Empty(lambda n: n.results.pop("training"), "lacks this payload's result"),
    "no figures": Empty(lambda n: n.results["training"].update(measured={}), "was not measured"),
}
