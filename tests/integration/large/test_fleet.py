"""A cluster wider than the example: every node is probed once, and the rehearsal ends as a small one does."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from tests.integration.play import KNOWNGOOD, environment

from knowngood.matrix.locate import matrix_dir

NODES = 8
DEADLINE = 560.0  # seconds; a minute and a half on two idle cores


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
def test_a_cluster_widened_to_eight_nodes_rehearses_to_its_end(tmp_path: Path) -> None:
    """An Indexed Job with anti-affinity gave three nodes two probes and three none: `inconclusive` in five seconds."""
    asked = ["--matrix", str(matrix_dir()), "rehearse", "ams-prod", "--to", "r595", "--nodes", str(NODES)]
    done = subprocess.run(
        [*KNOWNGOOD, *asked, "--out", str(tmp_path), "--time-scale", "3600", "--output", "json"],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["end"], len(summary["nodes"])) == ("done", NODES)
    assert "8 GPU nodes: ring-0 2 (batches of 2), ring-1" in done.stderr
    (stage,) = tmp_path.iterdir()
    events = [json.loads(line) for line in (stage / "twin" / "events.jsonl").read_text().splitlines()]
    probes = [e for e in events if e["event"] == "job-ran" and "knowngood.dev/probe" in e["labels"]]
    once = Counter((e["labels"]["knowngood.dev/probe"], e["node"]) for e in probes)
    assert {e["node"] for e in probes} == set(summary["nodes"])
    assert set(once.values()) == {1}
