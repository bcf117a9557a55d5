"""A driver that loads once and never again: the canary finds it where a gate asks for its second load, and goes back.

What it does without the gate is shown on fakes: it reaches every node (tests/unit/engine/test_second_load.py).
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml
from tests.integration.faults.rows import CANARY, LATER, NEW, OLD, TWICE
from tests.integration.play import Play, explained, staged


def with_the_gate(play: Play) -> None:
    """The cluster's profile asks for a second load."""
    (file,) = (play.stage.matrix / "profiles").glob("xe7740*.yaml")
    profile = yaml.safe_load(file.read_text(encoding="utf-8"))
    profile["gates"]["latent_fault"] = {"kind": "second-load", "minutes": 5}
    file.write_text(yaml.safe_dump(profile), encoding="utf-8")
    subprocess.run(["git", "commit", "-qam", "a second load"], cwd=play.stage.matrix, check=True, timeout=30)


@pytest.mark.slow
def test_a_fault_of_the_second_load_is_found_on_the_canary_and_undone(tmp_path: Path) -> None:
    with staged(tmp_path / "stage", "lab-small", limits=TWICE.limits) as play:
        with_the_gate(play)
        before = play.snapshot("before")
        play.stage.fault(TWICE.fault, TWICE.node, TWICE.params)
        ended = play.upgrade("r595")
        assert (ended.code, ended.result["end"]) == (TWICE.code, TWICE.end), explained(ended)
        assert TWICE.caught_by in ended.result["why"]
        assert tuple(ended.result["blamed"]) == TWICE.named
        assert play.hits(TWICE.fault)
        play.stage.clear_faults()
        assert play.differences(before) == ""
        assert play.drivers() == {CANARY: [OLD, NEW, OLD], LATER: [OLD]}
