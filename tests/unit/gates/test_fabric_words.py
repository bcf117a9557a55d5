"""What is said of a bad link: whose part it is, and on which rail."""

from __future__ import annotations

import pytest

from knowngood.gate.fabric import NCCL, Judged, described
from knowngood.gate.fabric_blame import Blame, Kind, Link

from .test_fabric import LIMITS, between, judged, told


@pytest.mark.parametrize(
    ("rail", "words"),
    [(NCCL, "its part in NCCL's all-reduce is bad with b, c"), (1, "its port a:1/1 is bad with b, c")],
)
def test_a_blame_names_the_port_or_the_part_in_the_all_reduce(rail: int, words: str) -> None:
    documents = told()
    for other in ("b", "c"):
        pair = between(documents, "a", other)
        if rail == NCCL:
            pair["nccl"]["busGBps"] = 100.0
        else:
            pair["links"][rail]["gbps"]["a"] = 100.0
    assert words in judged("a", documents)[1]


@pytest.mark.parametrize(
    ("kind", "rail", "words"),
    [
        (Kind.RAIL, 1, "rail 1 is bad between all nodes"),
        (Kind.RAIL, NCCL, "NCCL is bad between all nodes"),
        (Kind.EITHER, 1, "neither met anybody else on rail 1"),
        (Kind.EITHER, NCCL, "neither met anybody else on NCCL"),
        (Kind.EITHER, None, "neither met anybody else on every rail"),
    ],
)
def test_a_blame_in_words_says_on_which_rail(kind: Kind, rail: int | None, words: str) -> None:
    bad = Link("a", "b", 1 if rail is None else rail, good=False, why="is slow")
    met = Judged(told(("a", "b")), LIMITS, {}, dma_buf=True, gpus=8).met
    assert words in described(Blame(kind, ("a", "b"), rail, (bad,)), met)
