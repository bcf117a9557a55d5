"""The gate `fabric` on a running twin: probes meet, a link is told from a node, and nothing of it stays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.integration.gates.bench import Bench
from tests.integration.play import awaited, staged

from knowngood.adapters.judging.gang import KINDS
from knowngood.adapters.judging.pytest_gates import PytestGates
from knowngood.adapters.kubernetes.client import path
from knowngood.matrix.locate import gates_dir
from knowngood.model.hardware import Hardware
from knowngood.model.verdict import Judgement, Verdict
from knowngood.twin.host_files import nic_address

NODES = ("gpu-1", "gpu-2", "gpu-3", "gpu-4")
RAILS = 2


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A twin of the example cluster whose tenants have gone; two of each node's ports are enough."""
    folder = tmp_path_factory.mktemp("fabric")
    with staged(folder / "stage", "ams-prod", meets=True) as play:
        found = Bench(play, folder / "run")
        nics = replace(
            found.profile.compute_nics, pci_addresses=tuple(map(nic_address, range(RAILS))), ports=RAILS
        )
        health = {**found.profile.gates["rdma_health"], "expectedPorts": RAILS}
        gates = {**found.profile.gates, "rdma_health": health}
        profile = replace(found.profile, compute_nics=nics, gates=gates)
        where = (play.stage.kubeconfig, folder / "run", gates_dir())
        found.gates = PytestGates(found.cluster, Hardware((profile,)), found.release, *where)
        for tenant in found.cluster.tenants:
            for namespace in tenant.namespaces:
                for kind in ("deployments", "statefulsets"):
                    for one in found.kube.list(path("apps/v1", kind, "", namespace)):
                        found.kube.delete(path("apps/v1", kind, one["metadata"]["name"], namespace))
                for pod in found.kube.list(path("v1", "pods", "", namespace)):
                    found.kube.delete(path("v1", "pods", pod["metadata"]["name"], namespace), grace=0)
        awaited(lambda: not busy(found), "the tenants' end")
        yield found


def busy(bench: Bench) -> list[Any]:
    spaces = [n for tenant in bench.cluster.tenants for n in tenant.namespaces]
    return [p for space in spaces for p in bench.kube.list(path("v1", "pods", "", space))]


def left(bench: Bench) -> list[str]:
    """What probes leave in our namespace."""
    found = [*bench.jobs()]
    for version, plural in KINDS:
        found += [o["metadata"]["name"] for o in bench.kube.list(path(version, plural, "", "knowngood"))]
    return found


def judged(bench: Bench, *nodes: str, **fields: Any) -> Judgement:
    found = bench.judge("fabric", nodes=nodes, deadline=90.0, **fields)
    assert left(bench) == []
    return found


@pytest.fixture(scope="module")
def baseline(bench: Bench) -> Mapping[str, Mapping[str, Any]]:
    """All four at rest: they pass."""
    found = judged(bench, *NODES, taking_baseline=True)
    assert (found.verdict, found.trouble) == (Verdict.PASS, ""), reasons(found)
    return {f"{r.gate}/{r.node}": r.measured for r in found.results}


def reasons(found: Judgement) -> dict[str, str]:
    return {r.node: f"{r.verdict.value}: {r.reason}" for r in found.bad()}


@pytest.mark.slow
def test_at_rest_each_meets_the_others_and_its_ports_are_kept_by_their_addresses(
    baseline: Mapping[str, Any],
) -> None:
    kept = baseline["fabric/gpu-1"]
    assert kept["partners"] == ["gpu-2", "gpu-3", "gpu-4"]
    assert {*kept["ports"]} == {"nccl", *(f"{nic_address(n)}/1" for n in range(RAILS))}
    assert all(385 < port["rate"] < 392 for name, port in kept["ports"].items() if name != "nccl")


@pytest.mark.slow
def test_a_port_and_a_way_are_told_apart_by_partners(bench: Bench, baseline: Mapping[str, Any]) -> None:
    """gpu-2's first port is slow with everybody; on the other rail only the way between gpu-3 and gpu-4 is."""
    bench.strike("link-at-half-rate", "gpu-2", nic="0")
    bench.strike("port-loses-packets", "gpu-3", nic="1", peer="gpu-4")
    found = reasons(judged(bench, *NODES, baseline=baseline))
    bench.play.stage.clear_faults()
    assert {*found} == {"gpu-2", "gpu-3", "gpu-4"}, found
    assert f"fail: its port {nic_address(0)}/1 is bad with gpu-1, gpu-3, gpu-4" in found["gpu-2"]
    for node in ("gpu-3", "gpu-4"):
        assert "between gpu-3 and gpu-4 on rail 1 carries nothing" in found[node]
        assert "both ends are good with others" in found[node]


@pytest.mark.slow
def test_sockets_are_that_nodes_and_no_other_gate_notices(bench: Bench, baseline: Mapping[str, Any]) -> None:
    """Taken away, the gate is missed: what else judges RDMA sees nothing of it."""
    bench.strike("socket-transport", "gpu-1")
    without = bench.judge("rdma_health", nodes=("gpu-1",), deadline=60.0)
    found = reasons(judged(bench, "gpu-1", "gpu-2", baseline=baseline))
    bench.play.stage.clear_faults()
    assert without.verdict is Verdict.PASS
    assert found["gpu-1"].startswith("fail: ")
    assert "NCCL goes by sockets (NET/Socket" in found["gpu-1"]


@pytest.mark.slow
def test_a_node_alone_meets_a_partner_or_is_told_that_it_has_none(
    bench: Bench, baseline: Mapping[str, Any]
) -> None:
    alone = judged(bench, "gpu-1", baseline=baseline)
    assert "inconclusive: no other node is judged with it" in reasons(alone)["gpu-1"]
    found = judged(bench, "gpu-1", baseline=baseline, partners=("gpu-5",))
    assert found.verdict is Verdict.PASS, found.bad()
    (one,) = found.results
    assert one.measured["partners"] == ["gpu-5"]
