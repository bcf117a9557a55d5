"""The shipped gates against a running twin: real API, kubelet journal, exec, scheduler and probe Jobs."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from tests.integration.gates.bench import Bench
from tests.integration.play import staged
from tests.movers import MOVERS

from knowngood.adapters.cluster.reader import KubeCluster
from knowngood.adapters.kubernetes.client import path
from knowngood.model.errors import Interrupted
from knowngood.model.verdict import Judgement, Verdict
from knowngood.ports.cancel import Cancel

FIRST, SECOND = "lab-gpu-1", "lab-gpu-2"
PASSIVE = ("gpu_errors", "drift", "rdma_health")
ACTIVE = ("smoke_training", "smoke_inference")
OLD = "580.173.02"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("gates")
    with staged(folder / "stage", "lab-small") as play:
        yield Bench(play, folder / "run")


@pytest.fixture(scope="module")
def baseline(bench: Bench) -> Mapping[str, Mapping[str, Any]]:
    """What the passive gates measured on both nodes at rest."""
    found = bench.judge(*PASSIVE, nodes=(FIRST, SECOND), taking_baseline=True)
    assert (found.verdict, found.trouble) == (Verdict.PASS, ""), found.bad()
    return {f"{r.gate}/{r.node}": r.measured for r in found.results}


def reasons(found: Judgement) -> dict[str, str]:
    return {f"{r.gate}/{r.node}": r.reason for r in found.bad()}


def test_at_rest_everything_passes_and_nothing_stays(bench: Bench, baseline: Mapping[str, Any]) -> None:
    assert len(baseline) == len(PASSIVE) * 2
    assert baseline[f"rdma_health/{FIRST}"]["ports"] == 8
    assert baseline[f"drift/{FIRST}"]["versions"]["nvidia-driver"] == OLD
    assert bench.jobs() == []


def test_a_node_reports_more_or_less_of_a_version_than_the_release_declares(
    bench: Bench, baseline: Mapping[str, Any]
) -> None:
    running, declared = baseline[f"drift/{FIRST}"]["versions"], bench.release.components
    for component in ("rhcos-kernel", "doca-ofed"):
        assert running[component] != declared[component]
    assert bench.judge("drift", nodes=(FIRST,), baseline=baseline, schemes={}).verdict is Verdict.FAIL


def test_another_version_than_the_expected_one_fails(bench: Bench, baseline: Mapping[str, Any]) -> None:
    expect = {FIRST: {**bench.release.components, "nvidia-driver": "595.91.07"}}
    found = bench.judge("drift", nodes=(FIRST,), baseline=baseline, expect=expect)
    assert "nvidia-driver is 580.173.02, expected 595.91.07" in reasons(found)[f"drift/{FIRST}"]


def test_smoke_gates_without_free_gpus_cannot_tell_and_say_why(bench: Bench) -> None:
    """Tenants hold them: the probe's pods never start, and nothing of theirs is left."""
    found = bench.judge(*ACTIVE, nodes=(FIRST,), deadline=15.0)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "nvidia.com/gpu" in reasons(found)[f"smoke_training/{FIRST}"]
    assert bench.jobs() == []


def test_a_cancelled_judgement_leaves_no_job(bench: Bench) -> None:
    cancel = Cancel()

    def cancel_when_the_job_is_there() -> None:
        while not bench.jobs() and not cancel.wait(0.1):
            pass
        cancel.set("INT")

    waiting = threading.Thread(target=cancel_when_the_job_is_there)
    waiting.start()
    with pytest.raises(Interrupted):
        bench.judge(*ACTIVE, nodes=(FIRST,), cancel=cancel)
    waiting.join()
    assert bench.jobs() == []


def test_smoke_gates_pass_on_idle_gpus_by_the_reference_backend(bench: Bench) -> None:
    for deployment in bench.kube.list(path("apps/v1", "deployments", "", "notebooks")):
        bench.kube.delete(path("apps/v1", "deployments", deployment["metadata"]["name"], "notebooks"))
    found = bench.judge(*ACTIVE, nodes=(FIRST, SECOND))
    assert (found.verdict, found.trouble) == (Verdict.PASS, ""), found.bad()
    assert {r.backend for r in found.results} == {"reference"}
    assert bench.jobs() == []


def test_an_xid_counts_only_since_the_window_opened(bench: Bench, baseline: Mapping[str, Any]) -> None:
    windows = bench.windows(FIRST)
    bench.strike("xid-31-after-driver", FIRST, when="now", version=OLD)
    found = bench.judge("gpu_errors", nodes=(FIRST,), windows=windows, baseline=baseline)
    assert "Xid 31" in reasons(found)[f"gpu_errors/{FIRST}"]
    found = bench.judge("gpu_errors", nodes=(FIRST,), windows=bench.windows(FIRST), baseline=baseline)
    assert found.verdict is Verdict.PASS, reasons(found)


@pytest.mark.parametrize(
    ("fault", "words"),
    [("ib-link-flap", "link_downed grew by 1"), ("dma-buf-falls-back", "goes by nvidia-peermem")],
)
def test_rdma_faults_fail_against_the_baseline(
    bench: Bench, baseline: Mapping[str, Any], fault: str, words: str
) -> None:
    bench.strike(fault, FIRST, when="now")
    found = bench.judge("rdma_health", nodes=(FIRST, SECOND), baseline=baseline)
    assert words in reasons(found)[f"rdma_health/{FIRST}"]
    assert found.of_node(SECOND) is Verdict.PASS


def test_a_lost_gpu_fails_on_its_node_only(bench: Bench, baseline: Mapping[str, Any]) -> None:
    windows = bench.windows(FIRST, SECOND)
    bench.strike("xid-79", SECOND)
    found = bench.judge("gpu_errors", "drift", *ACTIVE, nodes=(SECOND,), windows=windows, baseline=baseline)
    assert "Xid 79" in reasons(found)[f"gpu_errors/{SECOND}"]
    assert "7 GPUs" in reasons(found)[f"drift/{SECOND}"]
    assert "7 of 8 GPUs are allocatable" in reasons(found)[f"smoke_training/{SECOND}"]


def test_a_journal_vacuumed_inside_the_window_is_inconclusive(bench: Bench) -> None:
    """What was lost with it is not known; that nothing speaks against the node in the rest says nothing."""
    windows = bench.windows(SECOND)
    bench.strike("journal-vacuumed", SECOND)
    bench.strike("xid-31-after-driver", SECOND, when="now", version=OLD)
    baseline = {f"gpu_errors/{SECOND}": {"errors": {"Xid 31": 5}}}
    found = bench.judge("gpu_errors", nodes=(SECOND,), windows=windows, baseline=baseline)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "after the window opened" in reasons(found)[f"gpu_errors/{SECOND}"]


def test_a_node_that_does_not_answer_is_inconclusive(bench: Bench, baseline: Mapping[str, Any]) -> None:
    bench.strike("node-stays-down", SECOND, when="now")

    def down() -> bool:
        return not KubeCluster(bench.kube, bench.cluster).observe([SECOND], MOVERS)[SECOND].reachable

    waiting = Cancel()
    while not down():
        waiting.wait(0.2)
    found = bench.judge("gpu_errors", "rdma_health", nodes=(SECOND,), baseline=baseline)
    assert found.verdict is Verdict.INCONCLUSIVE
    told = reasons(found)
    assert set(told) == {f"gpu_errors/{SECOND}", f"rdma_health/{SECOND}"}
    assert all("can't be read" in reason or "not ready" in reason for reason in told.values())
