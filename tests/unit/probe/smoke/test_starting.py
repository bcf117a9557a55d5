"""Our own servers as processes: all that answer are taken, and one that ends says so at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from knowngood.probe.smoke.records import read
from knowngood.probe.smoke.serving import Ours

MODULE = """
import json, os, sys, time
from pathlib import Path
folder, number = Path(json.loads(Path(sys.argv[1]).read_text())["folder"]), sys.argv[2]
if (folder / f"aborts-{number}").exists():
    os.abort()
said = [{"kind": "identity", "device": f"GPU-{number}", "threads": os.environ.get("OMP_NUM_THREADS")}]
if not (folder / f"silent-{number}").exists():
    said.append({"kind": "serving", "port": 4000 + int(number)})
whole = folder / f"rank-{number}.new"
whole.write_text("".join(json.dumps(one) + "\\n" for one in said))
whole.rename(folder / f"rank-{number}.jsonl")
time.sleep(600)
"""


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ours]:
    (tmp_path / "stand_in_server.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    made = Ours("cpu", "stand_in_server")
    yield made
    made.stop()


def test_all_that_answer_are_taken_once_all_do(server: Ours, tmp_path: Path) -> None:
    found = server.start(tmp_path / "c.pt", tmp_path, 2, time.monotonic() + 100)
    assert [(place.device, place.port) for place in found] == [("GPU-0", 4000), ("GPU-1", 4001)]
    assert list(server.ends()) == [], "they run"


@pytest.mark.parametrize(("backend", "threads"), [("cpu", "1"), ("cuda", None)])
def test_servers_on_a_cpu_do_not_take_each_others_cores(
    backend: str, threads: str | None, tmp_path: Path, server: Ours, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    server._backend = backend
    assert len(server.start(tmp_path / "c.pt", tmp_path, 1, time.monotonic() + 100)) == 1
    assert read(tmp_path, 1)[0].last("identity")["threads"] == threads


def test_one_that_aborts_is_not_waited_for_and_is_named(server: Ours, tmp_path: Path) -> None:
    (tmp_path / "aborts-1").touch()
    begun = time.monotonic()
    found = server.start(tmp_path / "c.pt", tmp_path, 2, begun + 100)
    assert (len(found) < 2, time.monotonic() - begun < 90) == (True, True)
    ((finding),) = server.ends()
    assert (finding.rank, "SIGABRT" in finding.words) == (1, True)


def test_one_that_never_serves_is_given_up_in_time(server: Ours, tmp_path: Path) -> None:
    (tmp_path / "silent-0").touch()
    found = server.start(tmp_path / "c.pt", tmp_path, 1, time.monotonic() + 0.3)
    assert found == []
    assert list(server.ends()) == []
