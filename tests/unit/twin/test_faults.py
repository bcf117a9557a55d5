"""Faults as values: what is refused, what a ConfigMap carries, when one may hit."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowngood.twin import faults
from knowngood.twin.events import EventLog, read
from knowngood.twin.faults import Fault, FaultBook, FaultError, from_config_map, make, to_config_map

THE_ISSUES_LIST = [
    "xid-79",
    "xid-31-after-driver",
    "xid-119-after-driver",
    "driver-in-use",
    "validator-missing",
    "dma-buf-falls-back",
    "ib-link-flap",
    "node-stays-down",
    "argo-sync-fails",
    "pdb-blocks-drain",
    "evict-429-halfway",
    "api-outage",
    "operands-left-paused",
    "module-not-reloaded",
    "stale-gfd-label",
    "journal-vacuumed",
]


def test_every_promised_fault_is_there_and_documented() -> None:
    text = (Path(__file__).parents[3] / "docs" / "twin.md").read_text(encoding="utf-8")
    assert set(THE_ISSUES_LIST) <= set(faults.KINDS)
    assert [name for name in faults.KINDS if f"`{name}`" not in text] == []


@pytest.mark.parametrize(
    ("name", "node", "params", "words"),
    [
        ("xid-80", "gpu-1", {}, "no fault is called"),
        ("xid-79", "", {}, "needs a node"),
        ("xid-79", "gpu-1", {"nic": "1"}, "knows no parameter nic"),
        ("xid-79", "gpu-1", {"when": "later"}, "when=later"),
        ("ib-link-flap", "gpu-1", {"seconds": "1m"}, "not a number"),
    ],
)
def test_nonsense_is_refused(name: str, node: str, params: dict[str, str], words: str) -> None:
    with pytest.raises(FaultError, match=words):
        make(name, node, params)


@pytest.mark.parametrize("name", faults.KINDS)
def test_a_config_map_carries_a_fault_whole(name: str) -> None:
    node = "gpu-1" if faults.KINDS[name].needs_node else ""
    fault = make(name, node, {"times": "1"})
    assert from_config_map(to_config_map(fault)) == fault


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"fault": "nothing"},
        {"fault": "xid-79", "node": "gpu-1", "params": "["},
        {"fault": "xid-79", "params": "[]"},
    ],
)
def test_any_other_config_map_is_no_fault(data: dict[str, str]) -> None:
    assert from_config_map({"metadata": {"namespace": faults.NAMESPACE, "name": "x"}, "data": data}) is None


def test_a_fault_hits_on_its_node_under_its_version_so_many_times(tmp_path: Path) -> None:
    events = EventLog(tmp_path / "events.jsonl")
    book = FaultBook(events)
    fault = Fault("driver-in-use", "gpu-1", {"version": "595", "times": "1"}, uid="1")
    book.add(fault)
    assert book.active("driver-in-use", "gpu-2", "595") is None
    assert book.active("driver-in-use", "gpu-1", "580") is None
    assert book.active("driver-in-use", "gpu-1", "595") == fault
    book.hit(fault, version="595")
    assert book.active("driver-in-use", "gpu-1", "595") is None
    events.close()
    (event,) = read(tmp_path / "events.jsonl")
    assert (event["event"], event["node"], event["fault"]) == ("fault-hit", "gpu-1", "driver-in-use")


def test_a_trigger_that_comes_twice_sets_a_single_fault_off_once(tmp_path: Path) -> None:
    """An outage at the first eviction must not begin again at the second, while it is still on its way."""
    events = EventLog(tmp_path / "events.jsonl")
    book = FaultBook(events)
    fault = Fault("api-outage", "", {"when": "on-drain"}, uid="1")
    book.add(fault)
    assert book.waiting("on-drain", "gpu-1", "595") == [fault]
    book.reserve(fault)
    assert book.waiting("on-drain", "gpu-1", "595") == []
    book.hit(fault)
    assert book.waiting("on-drain", "gpu-1", "595") == []
    events.close()


def test_a_trigger_without_a_node_sets_off_faults_of_any_node(tmp_path: Path) -> None:
    events = EventLog(tmp_path / "events.jsonl")
    book = FaultBook(events)
    fault = Fault("xid-79", "gpu-1", {"when": "on-commit"}, uid="1")
    book.add(fault)
    assert book.waiting("on-commit", "", "") == [fault]
    assert book.waiting("on-commit", "gpu-2", "") == []
    events.close()
