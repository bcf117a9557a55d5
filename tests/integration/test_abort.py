"""`abort` from another laptop cuts a drain that a tenant's budget holds up: real Ansible, real API server."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.integration.play import Play, awaited, staged, with_a_tenant_on

CANARY = "lab-gpu-1"
PATIENCE = 900.0  # seconds that the tenant, and so the drain, would wait
SOON = 90.0  # seconds for the whole end of the run, an undo and its proof included


def draining(play: Play) -> bool:
    """Whether the drain's playbook has begun to ask."""
    return play.intended("drain") and any(play.stage.runs.glob("*/ansible/*-drain/progress"))


def claims(play: Play) -> list[str]:
    """Who cordons and uncordons the canary, by the twin's event log."""
    of_the_canary = (e for e in play.events() if e["node"] == CANARY)
    return [e["event"] for e in of_the_canary if e["event"] in ("cordoned", "uncordoned")]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "end", "code"), [((), "restored", 6), (("--hold",), "held", 5)], ids=["stop", "hold"]
)
def test_an_abort_cuts_a_drain_that_would_wait_for_long(
    options: tuple[str, ...], end: str, code: int, tmp_path: Path
) -> None:
    limits = {"drainSeconds": PATIENCE, "leaseSeconds": 6}
    with staged(tmp_path / "stage", "lab-small", limits=limits, patience=PATIENCE) as play:
        with_a_tenant_on(play, CANARY)
        before = play.snapshot("before")
        play.stage.fault("pdb-blocks-drain", CANARY)
        with play.running("upgrade", "lab-small", "--to", "r595", "--yes", "--output", "json") as runner:
            awaited(lambda: draining(play) or runner.poll() is not None, "the canary's drain")
            elsewhere = ("--runs-dir", str(play.stage.folder / "elsewhere"))
            asked = play.knowngood("abort", play.run_id(), *options, *elsewhere)
            began = time.monotonic()
            assert asked.code == 0, asked.stderr
            out, err = runner.communicate(timeout=PATIENCE)
        assert time.monotonic() - began < SOON, err
        assert runner.returncode == code, err
        result = json.loads(out)
        assert result["end"] == end, err
        assert "asked to " in result["why"]
        drain = next(s for s in result["steps"] if s["path"].endswith("/batch-1/drain"))
        assert (drain["status"], "cut short" in drain["why"]) == ("inconclusive", True)
        play.stage.clear_faults()
        if end == "restored":
            assert play.differences(before) == ""
        else:
            assert claims(play)[-1] == "cordoned", "the canary stays out of service"
            assert "taint" in play.differences(before)
