"""What perftest and nccl-tests print, read: figures as printed, and never a figure of what did not run to its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from knowngood.probe.fabric import nccl, nccl_tests, perftest
from knowngood.probe.fabric.perftest import DEAD, MEASURED, OWN, UNMEASURED, Reading
from knowngood.probe.fabric.tools import Tool

OUTPUTS = Path(__file__).parent / "outputs"


def output(name: str) -> str:
    origin, _, text = (OUTPUTS / f"{name}.txt").read_text().partition("\n")
    assert origin.startswith(("origin: published", "origin: by hand"))
    return text


def test_a_bandwidth_is_the_average_of_the_last_row_and_dma_buf_is_what_it_said() -> None:
    assert perftest.bandwidth(output("write_bw_cuda"), 0) == Reading(MEASURED, 391.87, dma_buf=True)
    assert perftest.bandwidth(output("write_bw_42"), 0) == Reading(MEASURED, 42.31, dma_buf=False)


def test_a_bandwidth_in_other_units_is_told_in_ours() -> None:
    for unit in ("MiB/sec", "MB/sec"):
        text = output("write_bw_42").replace("Gb/sec", unit)
        assert perftest.bandwidth(text, 0).value == pytest.approx(42.31 * 0.008388608, rel=1e-9)
    assert perftest.bandwidth(text.replace(unit, "furlongs"), 0).end == UNMEASURED


def test_a_latency_is_the_typical_one() -> None:
    assert perftest.latency(output("read_lat"), 0) == Reading(MEASURED, 3.79, dma_buf=True)


@pytest.mark.parametrize(
    ("name", "end", "words"),
    [
        ("write_bw_dead", DEAD, "transport retry counter exceeded (12)"),
        ("send_dead_old", DEAD, "Failed status 12"),
        ("no_region", OWN, "errno 14"),
        ("no_device", UNMEASURED, "Unable to find the Infiniband/RoCE device"),
        ("no_cuda", UNMEASURED, "Parser function exited with Error"),
    ],
)
def test_why_there_is_no_figure(name: str, end: str, words: str) -> None:
    """A link that loses what is sent is bad; memory that can't be registered is this node's; a build says nothing."""
    found = perftest.bandwidth(output(name), 1)
    assert (found.end, found.value, words in found.why) == (end, None, True), found


def test_memory_that_the_pod_may_not_pin_says_nothing_of_the_node() -> None:
    text = output("no_region").replace("error=14", "error=12")
    assert (perftest.bandwidth(text, 1).end, "memlock" in perftest.bandwidth(text, 1).why) == (
        UNMEASURED,
        True,
    )


def test_a_gpu_without_dma_buf_is_this_nodes() -> None:
    assert perftest.bandwidth("DMA-BUF is not supported on this GPU\n", 1).end == OWN


def test_a_figure_of_a_tool_that_failed_is_none() -> None:
    assert perftest.bandwidth(output("write_bw_cuda"), 1).end == UNMEASURED
    assert perftest.bandwidth("", 0).end == UNMEASURED


def test_all_reduce_across_two_nodes() -> None:
    found = nccl_tests.read(output("all_reduce_spark"))
    assert found.ranks == {0: "spark-d708", 1: "spark-dbf4"}
    assert found.bus_gbps == {8192: 0.27, 16384: 0.53, 32768: 0.88, 65536: 1.01}
    assert (found.best, found.wrong, found.whole, found.average) == (1.01, 0, True, 0.65375)


def test_a_test_that_was_cut_off_has_measured_nothing() -> None:
    found = nccl_tests.read(output("all_reduce_old"))
    assert (len(found.bus_gbps), found.best, found.wrong, found.whole) == (5, None, None, False)
    failure = "n1: Test NCCL failure all_reduce.cu:44 'unhandled system error / '\n"
    found = nccl_tests.read(failure + output("all_reduce_spark"))
    assert (found.best, "unhandled system error" in found.failure) == (None, True)


def test_a_table_without_roots_is_read_as_one_with_them() -> None:
    """As nccl-tests before 2.13 print it."""
    text = output("all_reduce_spark")
    rows = [line for line in text.splitlines() if " sum " in line]
    assert rows
    for row in rows:
        text = text.replace(row, row.replace("  -1  ", "  "))
    assert nccl_tests.read(text).bus_gbps == nccl_tests.read(output("all_reduce_spark")).bus_gbps


def test_wrong_values_are_counted_and_unchecked_ones_are_not_right() -> None:
    found = nccl_tests.read(output("all_reduce_wrong"))
    assert (found.wrong, found.best, [*found.ranks]) == (12, 487.88, [0, 8])
    unchecked = output("all_reduce_spark").replace("      0\n", "    N/A\n")
    assert nccl_tests.read(unchecked).wrong is None


def test_wrong_values_are_told_though_the_tool_ends_with_an_error() -> None:
    def told(text: str) -> dict[str, object]:
        tool = cast("Tool", SimpleNamespace(text=lambda: text, code=1))
        return nccl._told(tool, whole=True, seconds=1.0)

    wrong = output("all_reduce_wrong")
    assert told(wrong) == {"ranks": 2, "hosts": 2, "busGBps": 487.88, "wrong": 12}
    for other in (output("all_reduce_spark"), wrong[: wrong.index("# Avg")]):
        assert "ended with 1" in str(told(other)["why"])
        assert "busGBps" not in told(other)


@given(st.text(max_size=400), st.integers(-15, 2))
def test_any_text_is_read_without_an_error(text: str, code: int) -> None:
    for read in (perftest.bandwidth, perftest.latency):
        assert read(text, code).end in (MEASURED, DEAD, OWN, UNMEASURED)
    assert nccl_tests.read(text).best is None or "Out of bounds" in text


@pytest.mark.parametrize(("number", "end"), [("0.01", MEASURED), ("0.00", UNMEASURED), ("1e9", UNMEASURED)])
def test_a_figure_that_nothing_can_reach_is_none(number: str, end: str) -> None:
    assert perftest.bandwidth(output("write_bw_42").replace("42.31", number), 0).end == end


@pytest.mark.parametrize(
    ("errno", "end"), [(1, UNMEASURED), (11, UNMEASURED), (12, UNMEASURED), (13, UNMEASURED)]
)
def test_what_the_pods_limits_forbid_says_nothing_of_the_node(errno: int, end: str) -> None:
    text = output("no_region").replace("error=14", f"error={errno}")
    assert perftest.bandwidth(text, 1).end == end


def test_a_reason_is_cut() -> None:
    assert len(perftest.bandwidth("x" * 999, 1).why) < 250
    assert perftest.bandwidth("", 7).why == "it ended with 7 and no figure"


def test_where_one_half_was_not_checked_nothing_was() -> None:
    text = output("all_reduce_spark")
    whole = nccl_tests.read(text)
    rows = [line for line in text.splitlines() if line.strip().startswith("65536 ")]
    assert rows
    assert whole.wrong == 0
    assert (
        nccl_tests.read(text.replace(rows[0], rows[0][: rows[0].rstrip().rindex(" ")] + " N/A")).wrong is None
    )


def test_a_figure_may_be_less_than_one() -> None:
    text = output("write_bw_42")
    assert perftest.bandwidth(text.replace("42.31", "0.5"), 0).value == pytest.approx(0.5)
    assert perftest._number("999999999") == 999999999.0
    assert [perftest._number(x) for x in ("0", "-1", "1e9", "nan", "x")] == [None] * 5


@pytest.mark.parametrize(
    ("name", "read", "column"), [("write_bw_cuda", perftest.bandwidth, 3), ("read_lat", perftest.latency, 4)]
)
def test_a_row_that_was_cut_off_is_no_figure(
    name: str, read: Callable[[str, int], Reading], column: int
) -> None:
    text = output(name)
    (row,) = [line for line in text.splitlines() if line.split()[:1] in (["8388608"], ["2"])]
    for words in range(1, column + 1):
        cut = text.replace(row, " " + " ".join(row.split()[:words]))
        assert read(cut, 0).end == UNMEASURED, words
    assert read(text.replace(row, " " + " ".join(row.split()[: column + 1])), 0).end == MEASURED
