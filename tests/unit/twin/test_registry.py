"""Which controllers a twin plays, and which it leaves to real ones."""

from __future__ import annotations

import pytest

from knowngood.twin import __main__ as command
from knowngood.twin.behaviours.registry import GPU_OPERATOR, MANAGED, MANAGER, NAMES, played, spelled_out
from knowngood.twin.seed import Seed, parse

BARE: Seed = parse({"schema": 1, "gpuOperator": {"version": "26.7.0", "namespace": "gpu"}})


def names(without: frozenset[str]) -> set[str]:
    return {one.name for one in played(BARE, without)}


def test_a_controller_that_is_left_out_is_not_played() -> None:
    assert "gpu-operator" in names(frozenset())
    assert names(frozenset()) - names(frozenset({"gpu-operator"})) == {"gpu-operator"}
    assert "kai-scheduler" not in names(frozenset()), "the scheduler places gangs itself"


def test_the_controller_managers_name_means_all_of_its_controllers() -> None:
    left_out = spelled_out([MANAGER, "scheduler"])
    assert left_out == {one.name for one in MANAGED} | {"scheduler"}
    own = {one.name for one in GPU_OPERATOR}
    assert names(left_out) == own | {"kai-scheduler"}, "a real scheduler leaves gangs to KAI"


def test_the_gpu_operators_name_means_all_that_it_is() -> None:
    left_out = spelled_out(["gpu-operator"])
    assert left_out == {one.name for one in GPU_OPERATOR}
    assert not left_out & names(left_out)


def test_what_the_cluster_does_not_have_is_not_played() -> None:
    assert not names(frozenset()) & {"argocd", "network-operator", "olm"}
    assert {"argocd", "network-operator", "olm"} <= set(NAMES)


def test_a_name_that_no_controller_has_is_refused_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    arguments = ["up", "--seed", "x", "--state", "x", "--write-kubeconfig", "x", "--without", "gpu-operater"]
    assert command.main(arguments) == 2
    assert "gpu-operater" in (said := capsys.readouterr().err)
    assert "gpu-operator" in said
