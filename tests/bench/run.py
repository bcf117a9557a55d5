"""The main job: `knowngood demo`, and what its journals, summaries and audit log say of it."""

from __future__ import annotations

import json
import resource
import subprocess
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.bench.measurement import BIN, Measurement

AIM_SECONDS = 180


def measure() -> list[Measurement]:
    """All acts once; the figures that an operator asks for."""
    with tempfile.TemporaryDirectory() as out:
        begin = time.perf_counter()
        subprocess.run([str(BIN / "knowngood"), "demo", "--out", out], check=True, capture_output=True)
        took = time.perf_counter() - begin
        (folder,) = (path for path in Path(out).iterdir() if path.is_dir())
        summary = json.loads((folder / "summary.json").read_text())
        upgrade, undo, _ = (act["run"] for act in summary["acts"])
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000
        return [
            Measurement("demo, all acts", took, "s", aim=AIM_SECONDS),
            Measurement("largest process of the demo, peak memory", peak, "MB"),
            *of_upgrade(upgrade, folder / "runs" / upgrade["run"]),
            *of_undo(undo, folder / "runs" / undo["run"]),
        ]


def of_upgrade(run: dict[str, Any], folder: Path) -> list[Measurement]:
    """How long and how often a node is out, and what its playbooks ask of the API."""
    nodes = list(run["nodes"].values())
    soak = sum(step["seconds"] for step in run["steps"] if step["path"].endswith("/soak"))
    asked = sum(json.loads(path.read_text())["calls"] for path in folder.glob("ansible/*/outcome.json"))
    return [
        Measurement("upgrade of 6 nodes in 3 rings, without the soaks", run["seconds"] - soak, "s"),
        Measurement("a node is out", max(node["seconds_out"] for node in nodes), "s", note="the longest"),
        Measurement("drains a node", max(node["times_out"] for node in nodes), "", aim=1, note="the most"),
        Measurement("API requests of playbooks, a node", asked / len(nodes), ""),
    ]


def of_undo(run: dict[str, Any], folder: Path) -> list[Measurement]:
    """From the verdict that said no to the pushed revert, and to `restored`."""
    records = [json.loads(line) for line in (folder / "journal.jsonl").read_text().splitlines()]
    said_no = next(at(r) for r in records if r["type"] == "outcome" and r["detail"].get("verdict") == "fail")
    pushed = next(at(r) for r in records if r["type"] == "outcome" and r["step"].endswith("/undo/declare"))
    restored = next(at(r) for r in records if r["type"] == "finished")
    return [
        Measurement("from the failed gate to the pushed revert", (pushed - said_no).total_seconds(), "s"),
        Measurement("from the failed gate to `restored`", (restored - said_no).total_seconds(), "s"),
        Measurement(
            "a node is out, undo included", max(n["seconds_out"] for n in run["nodes"].values()), "s"
        ),
    ]


def at(record: dict[str, Any]) -> datetime:
    """When a record was written."""
    return datetime.fromisoformat(record["time"])
