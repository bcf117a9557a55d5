"""What the ranks measured, judged: bad names its rank and device, what is missing is never good, healthy fails none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from knowngood.probe.smoke.arithmetic import TOLERANCE
from knowngood.probe.smoke.launch import Ending
from knowngood.probe.smoke.records import Rank
from knowngood.probe.smoke.verdict import LEARNED, ONCE, TOGETHER, answer, figures

from .ranks import STEPS, ranks, records

Said = list[list[dict[str, Any]]]
WELL = Ending(0)
HEALTHY = records()


def judged(
    said: Said, ending: Ending = WELL, stages: dict[int, tuple[int, str]] | None = None
) -> dict[str, Any]:
    return answer("cuda", ranks(said, stages), ending, [], STEPS)


@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize("seed", range(50))
def test_a_healthy_run_is_good(count: int, seed: int) -> None:
    found = judged(records(seed, count))
    assert (found["ok"], found["reason"]) == (True, "")


def test_its_figures_are_what_a_gate_compares() -> None:
    found = judged(HEALTHY)["measured"]
    assert found["devices"] == ["GPU-0", "GPU-1", "GPU-2", "GPU-3"]
    assert 478 <= found["allReduceGBps"] <= 479
    assert sorted(found["pairGBps"]) == ["0-1", "0-2", "0-3", "1-2", "1-3", "2-3"]
    assert len(found["rankTokensPerSecond"]) == 4
    assert found["tokensPerSecond"] == 1001
    assert 0 <= found["tokensSpread"] < 0.01
    assert (found["verifiedSteps"], found["memoryBytes"]) == (STEPS, 4 << 30)


def each(kind: str, **changes: Any) -> Callable[[Said], None]:
    """Rank 2's records of a kind say something else."""

    def spoil(said: Said) -> None:
        for record in said[2]:
            if record["kind"] == kind and changes.keys() & record.keys():
                record.update(changes)

    return spoil


def product(form: str, **changes: Any) -> Callable[[Said], None]:
    def spoil(said: Said) -> None:
        next(r for r in said[2] if r.get("form") == form and r["kind"] == "product").update(changes)

    return spoil


def gathered(said: Said) -> None:
    """Where rank 0's part should be, every rank got rank 1's."""
    for mine in said:
        one = next(r for r in mine if r.get("what") == "all-gather")
        one.update(wrong=9, got=[2.0] * 8, parts=[[1.0] * 8, [2.0] * 8, [3.0, -1] * 4, [1.0, 2, 3, 4] * 2])


def summed(said: Said) -> None:
    """On rank 2 alone, rank 3's part is missing in the sum."""
    parts = [[1.0] * 8, [2.0] * 8, [3.0, -1] * 4, [1.0, 2, 3, 4] * 2]
    got = [sum(column) for column in zip(*parts[:3], strict=True)]
    next(r for r in said[2] if r.get("what") == "all-reduce").update(wrong=9, got=got, parts=parts)


SABOTAGE: dict[str, tuple[Callable[[Said], None], str]] = {
    "an error of 5e-3 in fp32": (
        product("fp32", error=5e-3),
        "rank 2 (GPU-2): a product in fp32 is off by 5.0e-03",
    ),
    "in tf32": (product("tf32", error=5e-3), "rank 2 (GPU-2): a product in tf32"),
    "in bf16": (product("bf16", error=5e-3), "rank 2 (GPU-2): a product in bf16"),
    "in fp8": (product("fp8", error=5e-3), "rank 2 (GPU-2): a product in fp8"),
    "a product that is not a number": (
        product("bf16", error=float("nan")),
        "a product in bf16 is off by nan",
    ),
    "one wrong row": (product("fp8", wrong=1), "rank 2 (GPU-2): 1 rows of a product of whole numbers in fp8"),
    "other bits each time": (
        product("fp32", steady=False),
        "rank 2 (GPU-2): the same product in fp32 gives other bits",
    ),
    "the first word of the memory": (each("memory", wrongWord=0), "first at byte 0"),
    "memory": (
        each("memory", wrongWord=25),
        "rank 2 (GPU-2): memory does not hold what was written, first at byte 100",
    ),
    "a loss that is not a number": (
        each("load", finite=False),
        "rank 2 (GPU-2): a loss under load is not a number",
    ),
    "a loss that stays": (each("load", lastLoss=3.9), "rank 2 (GPU-2): the loss went from 4.1000 to 3.9000"),
    "a loss that is nan at the end": (each("load", lastLoss=float("nan")), "it did not fall"),
    "a checkpoint": (each("checkpoint", same=False), "rank 2 (GPU-2): the checkpoint that was read back"),
    "another checkpoint": (each("checkpoint", digest="e"), "ranks read different checkpoints"),
    "what a pair sends": (
        each("pair", wrong=7),
        "rank 2 (GPU-2): 7 elements that came from rank 0 are wrong",
    ),
    "other weights": (
        each("common", weights=[1.0] * 8),
        "rank 2 (GPU-2): it has another weights after the same steps",
    ),
    "another gradient": (
        each("common", gradient=[1.0] * 8),
        "rank 2 (GPU-2): it has another gradient on the same batch",
    ),
    "swapped ranks": (gathered, "place 0 of an all-gather in float32 holds rank 1's part, on every rank"),
    "a lost part": (summed, "rank 2 (GPU-2): an all-reduce in float32 gives without rank 3's part"),
    "a verified step": (each("step", loss=float("nan")), "rank 2 (GPU-2): step 0: the loss is not a number"),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_each_sabotage_fails_and_is_named(name: str) -> None:
    spoil, words = SABOTAGE[name]
    said = copy.deepcopy(HEALTHY)
    spoil(said)
    found = judged(said)
    assert found["ok"] is False
    assert words in found["reason"]
    assert not any(f"GPU-{n}" in found["reason"] for n in (0, 1, 3)), "no other rank is blamed"


@pytest.mark.parametrize("kind", [*ONCE, *TOGETHER, "product", "step"])
def test_what_one_rank_did_not_measure_is_never_good(kind: str) -> None:
    said = copy.deepcopy(HEALTHY)
    said[2] = [r for r in said[2] if r["kind"] != kind]
    found = judged(said)
    assert found["ok"] is None
    assert "nothing was measured of" in found["reason"]
    assert "rank 2" in found["reason"]


def test_a_format_or_a_pair_that_was_left_out_is_missed() -> None:
    for left_out in ({"kind": "product", "form": "fp8"}, {"kind": "pair", "partner": 0}):
        said = copy.deepcopy(HEALTHY)
        said[2] = [r for r in said[2] if not left_out.items() <= r.items()]
        assert judged(said)["ok"] is None


def test_a_launch_that_ended_badly_is_not_good_whatever_was_measured() -> None:
    found = judged(HEALTHY, Ending(1, words="a line\nthe last word\n"))
    assert (found["ok"], found["reason"]) == (None, "torchrun ended with 1: the last word")


def test_no_rank_at_all_is_not_measured() -> None:
    assert answer("cuda", [Rank(0), Rank(1)], Ending(1, words="boom"), [], STEPS)["ok"] is None


def ended(rank: int, kind: str, words: str) -> Said:
    """Rank `rank` broke at the load; the others lost it."""
    said = [[r for r in mine if r["kind"] not in {"load", "alone", "common", "done"}] for mine in records()]
    lost = "[gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:40642"
    for number, mine in enumerate(said):
        here = {"type": kind, "words": words} if number == rank else {"type": "RuntimeError", "words": lost}
        mine.append({"kind": "error", **here})
    return said


@pytest.mark.parametrize(
    ("kind", "words", "ok"),
    [
        ("AcceleratorError", "CUDA error: uncorrectable ECC error encountered", False),
        ("AcceleratorError", "CUDA error: an illegal memory access was encountered", False),
        (
            "DistBackendError",
            "NCCL error in: NCCLUtils.cpp:77, unhandled system error, NCCL version 2.27.3",
            False,
        ),
        (
            "OutOfMemoryError",
            "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 139 GiB",
            None,
        ),
        (
            "RuntimeError",
            "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory",
            None,
        ),
        ("OSError", "[Errno 28] No space left on device: '/dev/shm/torch_77'", None),
        ("RuntimeError", "unable to write to file </torch_77_1>: No space left on device (28)", None),
        (
            "DistBackendError",
            "NCCL error: Error while creating shared memory segment /dev/shm/nccl-x (size 9637888)",
            None,
        ),
        (
            "AcceleratorError",
            "CUDA error: CUDA driver version is insufficient for CUDA runtime version",
            None,
        ),
        ("AttributeError", "module 'torch' has no attribute 'x'", None),
        ("ModuleNotFoundError", "No module named 'torch.distributed'", None),
    ],
)
def test_how_a_rank_broke_tells_the_node_from_what_is_around_it(
    kind: str, words: str, ok: bool | None
) -> None:
    found = judged(ended(2, kind, words), Ending(1, {0: 1, 2: 1}))
    assert found["ok"] is ok
    assert "rank 2 (GPU-2)" in found["reason"]
    assert "GPU-0" not in found["reason"] or ok is None


@pytest.mark.parametrize(
    ("code", "oom", "ok", "words"),
    [
        (-6, 0, False, "it ended by SIGABRT at load, window 0, step 3"),
        (-11, 0, False, "it ended by SIGSEGV"),
        (-7, 0, None, "SIGBUS"),
        (-9, 1, None, "the kernel killed it for memory"),
        (-9, 0, None, "somebody killed it"),
    ],
)
def test_a_rank_that_a_signal_ended_is_named(code: int, oom: int, ok: bool | None, words: str) -> None:
    said = ended(0, "RuntimeError", "Connection reset by peer")
    ending = Ending(1, {2: code, 0: -15}, oom_kills=oom)
    found = judged(said, ending, {2: (90, "load, window 0, step 3")})
    assert found["ok"] is ok
    assert f"rank 2 (GPU-2): {words}" in found["reason"] or ok is None
    assert words in found["reason"]


def test_a_rank_that_hangs_is_the_one_that_the_others_wait_for() -> None:
    said = [[r for r in mine if r["kind"] not in {"load", "alone", "common", "done"}] for mine in records()]
    waiting = (60, "step 2: gradients done")
    stages = {0: waiting, 1: waiting, 2: (59, "step 2: gradients"), 3: waiting}
    found = judged(said, Ending(-15, stalled=60.0), stages)
    assert found["ok"] is False
    assert "rank 2 (GPU-2): it hangs at step 2: gradients for 60 s; others wait at" in found["reason"]


def test_when_all_hang_together_no_rank_is_blamed_and_the_node_is() -> None:
    found = judged(records(), Ending(-15, stalled=60.0))
    assert (found["ok"], "all ranks stand at load done" in found["reason"]) == (False, True)


def test_ranks_that_still_load_their_libraries_hang_nowhere() -> None:
    """A cold disk, or other pods' work: nothing was asked of a GPU yet."""
    said: Said = [[] for _ in range(4)]
    found = judged(said, Ending(-15, stalled=60.0), dict.fromkeys(range(4), (1, "start")))
    assert (found["ok"], "all ranks stand at start" in found["reason"]) == (None, True)
    stages = dict.fromkeys(range(4), (3, "joining the others")) | {2: (2, "the device's first use")}
    found = judged(said, Ending(-15, stalled=60.0), stages)
    assert (found["ok"], "rank 2 (GPU-2): it hangs at the device's first use" in found["reason"]) == (
        False,
        True,
    )


@pytest.mark.parametrize(
    ("ours", "ok", "words"),
    [
        ((70, "step 2: gradients"), None, "nothing moved for 60 s: all ranks of this node stand at step 2"),
        ((9, "products, bf16"), False, "all ranks of this node stand at products, bf16"),
        ((3, "start"), None, "all ranks of this node stand at start"),
    ],
)
def test_on_two_nodes_no_rank_of_the_other_one_is_blamed(
    ours: tuple[int, str], ok: bool | None, words: str
) -> None:
    """Their records come at the end; until then they have none, and that speaks against nobody."""
    said: Said = [[{"kind": "identity", "device": f"GPU-{n}"}] if n < 2 else [] for n in range(4)]
    found = answer("cuda", ranks(said, {0: ours, 1: ours}), Ending(-15, stalled=60.0), [], STEPS, range(2))
    assert (found["ok"], words in found["reason"]) == (ok, True)
    assert "rank 2" not in found["reason"]


@pytest.mark.parametrize(("stage", "ok"), [("products, fp8", False), ("all-reduce, float32", None)])
def test_on_two_nodes_a_rank_that_lags_is_blamed_only_for_what_it_does_alone(
    stage: str, ok: bool | None
) -> None:
    said: Said = [[{"kind": "identity", "device": f"GPU-{n}"}] if n > 1 else [] for n in range(4)]
    stages = {2: (20, "all-reduce done"), 3: (18, stage)}
    found = answer("cuda", ranks(said, stages), Ending(-15, stalled=60.0), [], STEPS, range(2, 4))
    assert (found["ok"], f"rank 3 (GPU-3): it hangs at {stage}" in found["reason"]) == (ok, True)
    assert ("of another node" in found["reason"]) is (ok is None)


def test_a_deadline_is_not_a_hang() -> None:
    said = [mine[:-1] for mine in records()]
    assert judged(said, Ending(-15, late=True))["ok"] is None


def test_what_is_just_enough_is_enough() -> None:
    """A tolerance may be used up; a loss must fall below its share, not to it."""
    said = copy.deepcopy(HEALTHY)
    product("bf16", error=TOLERANCE["bf16"])(said)
    assert judged(said)["ok"] is True
    each("load", lastLoss=LEARNED * 4.1)(said)
    assert judged(said)["ok"] is False


def test_no_rank_was_asked_for_and_nothing_is_good() -> None:
    assert answer("cuda", [], Ending(1), [], STEPS)["ok"] is None


def test_of_six_findings_all_are_told_and_of_more_how_many() -> None:
    said = copy.deepcopy(HEALTHY)
    for rank in said:
        for record in rank:
            if record["kind"] == "product":
                record.update(wrong=1)
    reason = judged(said)["reason"]
    assert reason.endswith("; and 10 more")
    assert reason.count("rows of a product") == 6


@pytest.mark.parametrize(
    ("what", "share", "ok"),
    [
        ("weights", 0.9e-4, True),
        ("weights", 1.1e-4, False),
        ("gradient", 1.9e-2, True),
        ("gradient", 2.1e-2, False),
    ],
)
@pytest.mark.parametrize("count", [3, 4])
def test_ranks_may_differ_by_as_much_as_healthy_ones_do(
    what: str, share: float, ok: bool, count: int
) -> None:
    said = records(ranks=count)
    commons = [next(r for r in rank if r["kind"] == "common") for rank in said]
    for common in commons:
        common[what] = list(commons[0][what])
    commons[-1][what] = [x * (1 + share) for x in commons[-1][what]]
    found = judged(said)
    assert (found["ok"], "it has another" in found["reason"]) == (ok, not ok), found["reason"]


@pytest.mark.parametrize("what", ["weights", "gradient"])
def test_of_two_ranks_nobody_tells_which_is_wrong(what: str) -> None:
    """The middle of two is a bit of both, so they may differ by 1.4 times as much."""
    said = records(ranks=2)
    commons = [next(r for r in rank if r["kind"] == "common") for rank in said]
    commons[1][what] = [x * 1.1 for x in commons[0][what]]
    found = judged(said)
    assert (found["ok"], "ranks 0 and 1 have another" in found["reason"]) == (False, True)


def test_figures_of_nothing_are_none() -> None:
    assert figures([]) == {"ranks": 0, "devices": [], "verifiedSteps": 0, "memoryBytes": 0}
    bare = figures(ranks([[], []]))
    assert (bare["verifiedSteps"], bare["memoryBytes"], bare["ranks"]) == (0, 0, 2)
    assert "rankTokensPerSecond" not in bare


def test_a_rank_that_tested_no_memory_is_missed() -> None:
    said = copy.deepcopy(HEALTHY)
    for record in said[1]:
        if record["kind"] == "memory":
            record["bytes"] = 0
    found = judged(said)
    assert (found["ok"], "memory" in found["reason"]) == (None, True)
