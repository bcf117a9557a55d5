"""A driver that one ClusterPolicy declares for all nodes: what goes wrong in the fleet part, the canary, the last ring.

Real twin with OLM, kustomize overlays, Git, Ansible, pytest; one run a row on `fra-prod`. The oracle judges every node.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.faults.rows import (
    FRA_CANARY,
    FRA_LAST,
    FRA_LATER,
    FRA_NEW,
    FRA_OLD,
    FRA_QUICK,
    NO_IMAGE,
    ONCE,
    Once,
)
from tests.integration.play import explained, staged

TO = "h200-4.18-r580"
LONG = ("validator-missing (in the canary)", "operator-default-driver")
"""Rows that `make kills` runs: others go the same way."""


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(row, id=row.id, marks=pytest.mark.exhaustive if row.id in LONG else pytest.mark.slow)
        for row in ONCE
    ],
)
def test_what_goes_wrong_anywhere_is_taken_back_everywhere(row: Once, tmp_path: Path) -> None:
    with staged(tmp_path / "stage", "fra-prod", limits=FRA_QUICK) as play:
        before = play.snapshot("before")
        play.stage.fault(row.fault, row.node, row.params)
        ended = play.upgrade(TO)
        assert ended.code == row.code, explained(ended)
        summary = ended.result
        assert summary["end"] == row.end, explained(ended)
        assert row.caught_by in summary["why"] + str(summary["blamed"]), explained(ended)
        assert play.hits(row.fault), "it never hit"
        play.stage.clear_faults()
        assert play.differences(before) == ""
        drivers = play.drivers()
        assert {node for node, versions in drivers.items() if len(versions) > 1} == set(row.moved)
        assert {versions[-1] for versions in drivers.values()} == {FRA_OLD}


@pytest.mark.exhaustive
def test_an_image_that_is_not_there_interrupts_the_run_and_a_rollback_restores_it(tmp_path: Path) -> None:
    """Fault os-tag-of-one-node: nobody pulled it, which says nothing of the release."""
    with staged(tmp_path / "stage", "fra-prod", limits=FRA_QUICK) as play:
        before = play.snapshot("before")
        play.stage.fault(NO_IMAGE.fault, NO_IMAGE.node, NO_IMAGE.params)
        ended = play.upgrade(TO)
        assert ended.code == 130, explained(ended)
        assert NO_IMAGE.caught_by in ended.stderr
        assert play.hits(NO_IMAGE.fault), "it never hit"
        play.stage.clear_faults()
        back = play.knowngood("rollback", play.run_id(), "--yes", "--output", "json")
        assert (back.code, back.result["end"]) == (NO_IMAGE.code, NO_IMAGE.end), explained(back)
        assert play.differences(before) == ""


@pytest.mark.slow
def test_without_a_fault_every_node_runs_the_release_and_the_canary_loaded_it_twice(tmp_path: Path) -> None:
    with staged(tmp_path / "stage", "fra-prod", limits=FRA_QUICK) as play:
        ended = play.upgrade(TO)
        assert ended.code == 0, explained(ended)
        assert ended.result["end"] == "done"
        once = {node: [FRA_OLD, FRA_NEW] for node in (FRA_LATER, FRA_LAST)}
        assert play.drivers() == {FRA_CANARY: [FRA_OLD, FRA_NEW, FRA_NEW], **once}
        assert play.commits()[0] == f"fra-prod fleet: nvidia-driver {FRA_NEW}"
