"""What the driver knows of its GPUs and no kernel line says: each fault is caught by its gate, and by no other.

One twin with NVSwitch, one judgement for three faults on three nodes: no run, the gates alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from tests.integration.gates.bench import Bench
from tests.integration.play import awaited, staged

from knowngood.adapters.cluster.facts import is_ready
from knowngood.adapters.judging.pytest_gates import PytestGates
from knowngood.adapters.kubernetes.client import path
from knowngood.matrix.locate import gates_dir
from knowngood.model.hardware import Hardware
from knowngood.model.verdict import Verdict
from knowngood.twin.gpu_health import AILMENTS

NODES = ("fra-gpu-1", "fra-gpu-2", "fra-gpu-3")
RELEASE = "h200-4.18-r580.105"
GATE, OTHERS = (
    "driver_health",
    ("gpu_errors", "drift", "rdma_health", "operators"),
)
CAUGHT = (
    {
        "row-remap-pending": "a row remap is pending",
        "pcie-downtrains": "PCIe x8, expected x16",
        "nvlink-goes-down": "17 of 18 NVLinks are up",
    },
    {
        "row-remap-fails": "a row remap failed",
        "sram-errors": "SRAM had more errors",
        "thermal-slowdown": "slowed down by its hardware, by heat",
    },
    {
        "fabric-in-progress": "the fabric is in progress",
        "ecc-switched-off": "ECC is off",
        "inforom-corrupted": "InfoROM of GPU 0000:18:00.0 is corrupted",
    },
    {"persistence-lost": "persistence is off"},
)
"""Fault -> the gate's words; those of a row strike together, each on a node of its own. The second is in MIG mode, so
neither NVLink nor fabric is its to lose."""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("health")
    with staged(folder / "stage", "fra-prod") as play:
        found = Bench(play, folder / "run", RELEASE)
        quick = {gate: {**values, "settleSeconds": 0.5} for gate, values in found.profile.gates.items()}
        profile = replace(found.profile, gates=quick)
        limits = replace(found.cluster.limits, operand_age=2.0)
        found.cluster = replace(found.cluster, limits=limits)
        where = (play.stage.kubeconfig, folder / "run", gates_dir())
        found.gates = PytestGates(found.cluster, Hardware((profile,)), found.release, *where)
        yield found


@pytest.fixture(scope="module")
def baseline(bench: Bench) -> Mapping[str, Mapping[str, Any]]:
    """What the passive gates measured at rest: all pass."""
    found = bench.judge(GATE, *OTHERS, nodes=NODES, taking_baseline=True)
    assert (found.verdict, found.trouble) == (Verdict.PASS, ""), found.bad()
    return {f"{r.gate}/{r.node}": r.measured for r in found.results}


def test_at_rest_every_gpu_is_kept_by_its_uuid(baseline: Mapping[str, Any]) -> None:
    kept = baseline[f"{GATE}/{NODES[0]}"]
    assert len(kept["gpus"]) == 8
    assert all(uuid.startswith("GPU-") for uuid in kept["gpus"])
    assert set(map(tuple, kept["nvlinks"].values())) == {(18, 26.562)}


@pytest.mark.parametrize("row", CAUGHT, ids="+".join)
def test_each_fault_is_caught_by_its_gate_and_by_no_other(
    bench: Bench, baseline: Mapping[str, Any], row: Mapping[str, str]
) -> None:
    struck = dict(zip(NODES, row, strict=False))
    for node, fault in struck.items():
        bench.strike(fault, node)
    found = bench.judge(GATE, *OTHERS, nodes=NODES, baseline=baseline)
    bench.play.stage.clear_faults()
    assert {(bad.gate, bad.node) for bad in found.bad()} == {(GATE, node) for node in struck}
    for bad in found.bad():
        assert bad.verdict is Verdict.FAIL
        assert row[struck[bad.node]] in bad.reason


def test_all_is_well_once_the_faults_are_cleared(bench: Bench, baseline: Mapping[str, Any]) -> None:
    healed = bench.judge(GATE, nodes=NODES, baseline=baseline)
    assert healed.verdict is Verdict.PASS, healed.bad()


def test_a_validator_that_did_not_look_at_this_driver_is_caught_by_operators_alone(
    bench: Bench, baseline: Mapping[str, Any]
) -> None:
    """The driver's pod is restarted; all is ready, and what the validator says is of the driver before."""
    node, space = NODES[0], "nvidia-gpu-operator"
    bench.play.stage.fault("validator-not-run-again", node)
    (driver,) = (p for p in pods(bench, space, "app.kubernetes.io/component=nvidia-driver") if on(p) == node)
    bench.kube.delete(path("v1", "pods", driver["metadata"]["name"], space), uid=driver["metadata"]["uid"])
    awaited(
        lambda: (
            all(map(is_ready, now := pods(bench, space))) and driver not in now and allocatable(bench, node)
        ),
        "the driver and its operands",
    )
    found = bench.judge(GATE, *OTHERS, nodes=NODES[:1])
    bench.play.stage.clear_faults()
    assert {bad.gate for bad in found.bad()} == {"operators"}
    assert "the validator ran at" in found.bad()[0].reason


def test_an_operator_that_does_not_succeed_concerns_the_whole_cluster(bench: Bench) -> None:
    """Its Deployment is gone and never comes to be available: only the operators' gate looks there."""
    where = ("apps/v1", "deployments", "gpu-operator-certified", "nvidia-gpu-operator")
    bench.play.stage.fault("olm-install-times-out", "")
    bench.kube.delete(path(*where))
    awaited(lambda: phase(bench) not in ("", "Succeeded"), "a phase that is not Succeeded")
    found = bench.judge("operators", "drift", nodes=NODES[1:2])
    bench.play.stage.clear_faults()
    awaited(lambda: phase(bench) == "Succeeded", "the operator")
    assert {(bad.gate, bad.node) for bad in found.bad()} == {("operators", "")}
    assert "gpu-operator (Subscription" in found.bad()[0].reason


def test_each_ailment_has_its_row() -> None:
    assert sorted(fault for row in CAUGHT for fault in row) == sorted(AILMENTS)


def pods(bench: Bench, space: str, labels: str = "") -> list[dict[str, Any]]:
    return list(bench.kube.list(path("v1", "pods", "", space), labels))


def on(pod: Mapping[str, Any]) -> str:
    return str(pod["spec"].get("nodeName"))


def allocatable(bench: Bench, node: str) -> bool:
    return bool(bench.kube.get(path("v1", "nodes", node))["status"]["allocatable"]["nvidia.com/gpu"] == "8")


def phase(bench: Bench) -> str:
    where = path("operators.coreos.com/v1alpha1", "clusterserviceversions", "", "nvidia-gpu-operator")
    return "".join(str((csv.get("status") or {}).get("phase") or "") for csv in bench.kube.list(where))
