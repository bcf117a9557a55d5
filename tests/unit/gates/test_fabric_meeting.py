"""Who meets whom before anything is measured: who is fit, who is taken from outside, and what each is told."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from knowngood.adapters.judging.probe_job import Answers
from knowngood.adapters.judging.probe_manifest import Order
from knowngood.gate import meeting
from knowngood.gate.fixtures import PAYLOAD
from knowngood.gate.meeting import Meeting
from knowngood.model.hardware import Hardware
from knowngood.model.node import NodeState
from knowngood.model.parts import ComputeNics
from knowngood.model.probe_pod import PodSite

from .conftest import BOOT, healthy, request
from .smi import PCIE, SXM, profile

NODES = ("a", "b", "c")


def state(name: str, **changes: Any) -> NodeState:
    return replace(healthy(**changes), name=name)


def context(*nodes: str, pools: dict[str, str] | None = None, **asked: Any) -> Any:
    kinds = (profile(SXM), replace(profile(PCIE), name="q"))
    hardware = Hardware(kinds, pools) if pools else Hardware(kinds[:1])
    return SimpleNamespace(request=request(nodes=nodes, **asked), hardware=hardware)


class Reader:
    """The API server's nodes and tenants' workloads; it says which it was asked for."""

    def __init__(self, busy: Sequence[str] = (), **states: NodeState) -> None:
        self._busy, self._states = busy, states
        self.asked: list[str] = []

    def workloads(self) -> list[Any]:
        return [SimpleNamespace(nodes=(node,)) for node in self._busy]

    def standing(self, nodes: Sequence[str]) -> dict[str, NodeState]:
        self.asked += nodes
        return {n: self._states.get(n, state(n)) for n in nodes}


def fit(asked: Any, reader: Any, **begun: NodeState) -> Any:
    return meeting._fit(asked, "fabric", begun, reader)


def test_a_judged_node_that_can_take_a_probe_is_fit_and_another_is_told_why() -> None:
    begun = {
        "a": state("a"),
        "b": state("b", ready=False),
        "c": state("c", allocatable={"nvidia.com/gpu": "7"}),
    }
    found, outside, unable = fit(context(*NODES, "d"), Reader(), **begun)
    assert (found, outside) == (["a"], {})
    assert {node: why.partition(": ")[2] for node, why in unable.items()} == {
        "b": "the node is not ready",
        "c": "7 of 8 GPUs are allocatable",
    }


def test_a_partner_outside_is_taken_only_where_no_tenant_works() -> None:
    reader = Reader(("p1",), p2=state("p2", ready=False))
    asked = context("a", partners=("a", "p1", "p2", "p3"))
    found, outside, _ = fit(asked, reader, a=state("a"))
    assert (found, list(outside), reader.asked) == (["a"], ["p3"], ["p2", "p3"])


def test_a_gate_that_judges_some_of_the_nodes_meets_those() -> None:
    begun = {node: state(node) for node in NODES}
    assert fit(context(*NODES, only={"fabric": ("b",)}), Reader(), **begun)[0] == ["b"]


def test_machines_of_one_kind_meet_in_three_rounds_unless_the_profile_says_otherwise() -> None:
    meet, rounds = meeting._tournament(context(*"abcdef"), "fabric", list("abcdef"), ())
    assert (meet, len(rounds)) == (list("abcdef"), 3)
    few = context(*"abcdef")
    few.hardware = Hardware((replace(profile(SXM), gates={"fabric": {"rounds": 1}}),))
    assert len(meeting._tournament(few, "fabric", list("abcdef"), ())[1]) == 1
    two = context(*"abcd", pools={"a": "p", "b": "p", "c": "q", "d": "q"})
    meet, rounds = meeting._tournament(two, "fabric", list("abcd"), ())
    assert (meet, rounds) == (list("abcd"), ((("a", "b"), ("c", "d")),))
    assert meeting._tournament(context("a"), "fabric", ["a"], ()) == ([], ())
    assert meeting._tournament(context("a"), "fabric", ["a"], ["p"])[0] == ["a", "p"]


def test_why_nobody_met() -> None:
    assert meeting._alone(["a", "b"], request()) == "it met nobody"
    assert "names no probe.partners" in meeting._alone(["a"], request())
    assert "none of p, q is ready and free of work" in meeting._alone(["a"], request(partners=("p", "q")))


def test_a_baseline_is_of_this_gate_and_none_is_compared_while_one_is_taken() -> None:
    kept = {"fabric/a": {"x": 1}, "drift/a": {"y": 1}}
    assert meeting._baselines("fabric", request(baseline=kept)) == {"a": {"x": 1}}
    assert meeting._baselines("fabric", request(baseline=kept, taking_baseline=True)) == {}


def test_what_a_nodes_probe_is_told_is_its_profiles() -> None:
    nics = ComputeNics(ports=4, pci_addresses=("0000:1a:00.0",), link_layer="Ethernet")
    kind = replace(profile(SXM), compute_nics=nics, gates={"fabric": {"kind": "active", "bytes": 5}})
    told = meeting._share(kind, "fabric", {"session": "s"}).params["fabric"]
    assert told == {
        "bytes": 5,
        "session": "s",
        "compute": {"count": 4, "pciAddresses": ["0000:1a:00.0"], "linkLayer": "Ethernet"},
        "rdmaMode": "dma-buf",
        "nvswitch": True,
    }
    plain = meeting._share(profile(SXM), "fabric", {}).params["fabric"]
    assert plain["compute"] == {"count": 8}, "as many as the machine has NICs"


def test_a_document_counts_also_where_not_all_was_measured_and_then_it_is_said() -> None:
    def said(ok: bool | None, boot: str = BOOT) -> dict[str, Any]:
        result = {"ok": ok, "reason": "it met nobody", "measured": {"node": "x"}}
        return {"bootId": boot, "results": {"fabric": result}}

    answers = Answers({"a": said(True), "b": said(None), "c": said(True, "another")}, {"d": "no room"})
    states = {node: state(node) for node in "abcd"}
    documents, missing = meeting._told(answers, states, list("abcd"), {"e": "not ready"})
    assert sorted(documents) == ["a", "b"]
    assert sorted(missing) == ["b", "c", "d", "e"]
    assert (missing["b"], missing["d"], missing["e"]) == ("it met nobody", "no room", "not ready")


def test_each_kind_is_judged_among_its_own_and_doubts_are_told() -> None:
    kinds = {"a": "p", "b": "q"}
    documents = {node: {"node": node, "rounds": []} for node in kinds}
    found = Meeting(
        (), documents, {"c": "no room"}, kinds=kinds, tenants_nccl={"t": {"NCCL_IB_HCA": ["mlx5"]}}
    )
    judged = found.judged(profile(SXM), {})
    assert judged is found.judged(profile(SXM), {"minGbPerSecond": 1}), "worked out once"
    assert judged.rates == {}


@pytest.mark.parametrize(("computing", "seconds"), [((), 600.0), (("training",), 300.0)])
def test_a_meeting_has_three_fifths_of_the_time_and_half_of_that_beside_what_computes(
    computing: tuple[str, ...], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of a meeting's pods are placed together or none, and it is the gate's that asks for it."""
    orders: list[Order] = []

    def run(_kube: object, order: Order, _cancel: object) -> Answers:
        orders.append(order)
        return Answers({}, dict.fromkeys(order.nodes, "no room"))

    monkeypatch.setattr("knowngood.gate.meeting.probe_job.run", run)
    monkeypatch.setattr("knowngood.gate.meeting.nccl_settings.of_tenants", lambda *_: {})
    gates = {
        "rdma_health": "rdma",
        "fabric": "fabric",
        **dict.fromkeys(("smoke",) * bool(computing), "training"),
    }
    items = [
        SimpleNamespace(path=Path(f"{gate}.py"), module=SimpleNamespace(**{PAYLOAD: payload}))
        for gate, payload in gates.items()
    ]
    asking: Any = SimpleNamespace(session=SimpleNamespace(items=items), getfixturevalue=lambda _name: None)
    where = context(*NODES, deadline=1000.0, baseline={"fabric/a": {"x": 1}, "rdma_health/a": {"x": 2}})
    limits = SimpleNamespace(image_pull=5.0)
    where.cluster = SimpleNamespace(tenants=(), probe_image="i", probe=PodSite(), limits=limits)
    where.namespace = "n"
    make: Any = meeting.meeting.__wrapped__  # type: ignore[attr-defined]
    found = make(asking, where, None, Reader(), {node: state(node) for node in NODES})
    assert [(order.deadline, order.together) for order in orders] == [(seconds, True)]
    assert found.missing == dict.fromkeys(NODES, "no room")
    assert found.baselines == {"a": {"x": 1}}
