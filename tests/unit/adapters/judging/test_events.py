"""The runner's reading of a session's events: whatever does not add up is never a pass."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest

from knowngood.adapters.judging import gate_events
from knowngood.gate import verdicts
from knowngood.gate.events import Events
from knowngood.gate.verdicts import Notes
from knowngood.model.parts import Waiver
from knowngood.model.verdict import Judgement, Verdict

from .conftest import request

START = {"event": "session_start"}
COLLECTED = {"event": "collected", "gates": {"drift": ["gpu-1"]}, "tests": ["drift.py::t[gpu-1]"]}
FINISH = {"event": "session_finish", "exitstatus": 0}


def result(**changes: Any) -> dict[str, Any]:
    values = {
        "event": "result",
        "test": "drift.py::t[gpu-1]",
        "gate": "drift",
        "node": "gpu-1",
        "verdict": "pass",
        "reason": "",
        "measured": {},
        "backend": "",
        "seconds": 0.1,
    }
    return values | changes


def judged(tmp_path: Path, *events: Any, code: int = 0, trouble: str = "") -> Judgement:
    path = tmp_path / "events.jsonl"
    path.write_text("".join((e if isinstance(e, str) else json.dumps(e)) + "\n" for e in events))
    return gate_events.judgement(request(("drift",)), gate_events.read(path), code, trouble, {})


def test_a_complete_session_passes(tmp_path: Path) -> None:
    found = judged(tmp_path, START, COLLECTED, result(), FINISH)
    assert (found.verdict, found.trouble) == (Verdict.PASS, "")


@pytest.mark.parametrize(
    ("events", "code", "said"),
    [
        ([START, COLLECTED, result()], 0, "without finishing"),
        ([START, COLLECTED, result(), {"event": "session_finish", "exitstatus": 1}], 0, "its process with 0"),
        ([START, COLLECTED, result(), FINISH], 1, "its process with 1"),
        ([START, COLLECTED, result(), {"event": "session_finish", "exitstatus": 1}], 1, "disagrees"),
        ([START, COLLECTED, result(verdict="fail"), FINISH], 0, "disagrees"),
        ([START, COLLECTED, FINISH], 0, "gave no result"),
        ([START, COLLECTED, result(), result(), FINISH], 0, "two results"),
        ([START, COLLECTED, result(), result(test="x::y"), FINISH], 0, "without having been collected"),
        ([START, {"event": "deselected", "tests": ["a"]}, COLLECTED, result(), FINISH], 0, "deselected"),
        ([START, COLLECTED, result(verdict="passed"), FINISH], 0, "line 3"),
        ([START, COLLECTED, "{", result(), FINISH], 0, "line 3"),
        ([START, COLLECTED, "[]", result(), FINISH], 0, "line 3"),
        ([START, {"event": "surprise"}, COLLECTED, result(), FINISH], 0, "unknown event"),
        ([START, COLLECTED, result(), FINISH, result()], 0, "after session_finish"),
        ([], 0, "without finishing"),
    ],
)
def test_what_does_not_add_up_is_never_a_pass(
    tmp_path: Path, events: list[Any], code: int, said: str
) -> None:
    found = judged(tmp_path, *events, code=code)
    assert said in found.trouble
    assert found.verdict is not Verdict.PASS


def test_a_fail_stays_a_fail_in_a_session_that_cannot_be_trusted(tmp_path: Path) -> None:
    assert judged(tmp_path, START, COLLECTED, result(verdict="fail")).verdict is Verdict.FAIL


def test_no_file_at_all_is_never_a_pass(tmp_path: Path) -> None:
    said = gate_events.read(tmp_path / "nothing")
    assert gate_events.judgement(request(("drift",)), said, 0, "", {}).verdict is Verdict.INCONCLUSIVE


def test_a_gate_for_the_whole_cluster_stands_for_each_node(tmp_path: Path) -> None:
    collected = {**COLLECTED, "tests": ["t"]}
    assert judged(tmp_path, START, collected, result(test="t", node=""), FINISH).verdict is Verdict.PASS


def test_a_test_is_given_the_waivers_of_its_own_gate_and_node(monkeypatch: pytest.MonkeyPatch) -> None:
    """A waiver of another node, or of another gate, excuses nothing here."""
    made = [
        Waiver(node, gate, f"{node}/{gate}", "on order", "2099-12-31")
        for node in ("a", "b")
        for gate in ("drift", "x")
    ]
    given: list[list[str]] = []

    def begin(mine: list[Waiver]) -> Notes:
        given.append([w.part for w in mine])
        return Notes()

    monkeypatch.setattr(verdicts, "begin", begin)
    events = Events(io.StringIO(), made)
    monkeypatch.setattr(events, "_finish", lambda *_: None)
    item: Any = SimpleNamespace(
        nodeid="1", path=Path("gates/drift.py"), callspec=SimpleNamespace(params={"node": "b"})
    )
    playing = events.pytest_runtest_protocol(item)
    next(playing)
    with pytest.raises(StopIteration):
        playing.send(None)
    assert given == [["b/drift"]]


ENDED: tuple[tuple[str, BaseException | None], ...] = (("setup", None), ("call", None), ("teardown", None))


def told(
    *phases: tuple[str, BaseException | None],
    folder: Path,
    params: dict[str, str] | None = {"node": "gpu-1"},  # noqa: B006 (it is only read)
    xfail: object = None,
    **measured: str,
) -> dict[str, Any]:
    """What is told of a test whose phases ended so; `params` None: it has none."""
    item: Any = SimpleNamespace(
        nodeid="drift.py::t",
        path=Path("gates/drift.py"),
        callspec=None if params is None else SimpleNamespace(params=params),
        get_closest_marker=lambda name: xfail if name == "xfail" else None,
    )
    with (folder / "events.jsonl").open("w+", encoding="utf-8") as file:
        events = Events(file)
        playing = events.pytest_runtest_protocol(item)
        next(playing)
        verdicts.measure(**measured)
        for when, error in phases:
            excinfo = None if error is None else SimpleNamespace(value=error)
            call: Any = SimpleNamespace(when=when, duration=0.25, excinfo=excinfo)
            events._note(item, call)
        with pytest.raises(StopIteration):
            playing.send(None)
        file.seek(0)
        found: dict[str, Any] = json.loads(file.read())
    return found


def raised(by: Callable[[str], NoReturn], words: str) -> BaseException:
    with pytest.raises(BaseException, match=words) as error:
        by(words)
    return error.value


FAIL, UNSURE = raised(verdicts.judge.fail, "it is bad"), raised(verdicts.judge.inconclusive, "who knows")


@pytest.mark.parametrize(
    ("phases", "verdict", "reason"),
    [
        (ENDED, "pass", ""),
        (ENDED[:2], "inconclusive", "the test did not run to its end"),
        ((("setup", None), ("call", FAIL), ("teardown", None)), "fail", "it is bad"),
        ((("setup", FAIL), ("teardown", None)), "fail", "it is bad"),
        ((("setup", ValueError("x")), ("teardown", None)), "inconclusive", "setup: ValueError: x"),
        ((("setup", None), ("call", ValueError("x")), ("teardown", None)), "inconclusive", "ValueError: x"),
        ((("setup", None), ("call", AssertionError("a\nb")), ("teardown", None)), "fail", "a"),
        ((*ENDED[:2], ("teardown", AssertionError("x"))), "inconclusive", "teardown: AssertionError: x"),
        ((("setup", None), ("call", FAIL), ("teardown", UNSURE)), "fail", "it is bad"),
        ((("setup", None), ("call", UNSURE), ("teardown", FAIL)), "fail", "it is bad"),
        ((("setup", None), ("call", FAIL)), "fail", "it is bad"),
    ],
)
def test_a_test_is_told_by_the_worst_of_its_phases_and_passes_only_to_its_end(
    phases: tuple[tuple[str, BaseException | None], ...], verdict: str, reason: str, tmp_path: Path
) -> None:
    found = told(*phases, folder=tmp_path)
    assert (found["verdict"], found["reason"]) == (verdict, reason)
    assert (found["gate"], found["node"], found["seconds"]) == ("drift", "gpu-1", 0.25 * len(phases))


def test_a_test_that_may_fail_tells_nothing(tmp_path: Path) -> None:
    found = told(*ENDED, folder=tmp_path, xfail=object())
    assert (found["verdict"], "xfail" in found["reason"]) == ("inconclusive", True)


@pytest.mark.parametrize("params", [None, {}])
def test_a_test_without_a_node_is_the_whole_clusters(params: dict[str, str] | None, tmp_path: Path) -> None:
    assert told(*ENDED, folder=tmp_path, params=params)["node"] == ""


def test_figures_that_a_line_has_no_room_for_lie_beside_it(tmp_path: Path) -> None:
    room = verdicts.MAX_MEASURED_BYTES - len(json.dumps({"x": ""}))
    assert told(*ENDED, folder=tmp_path, x="y" * room)["measured"] == {"x": "y" * room}
    found = told(*ENDED, folder=tmp_path, x="y" * (room + 1))
    assert (found["measured"], "measuredFile" in found) == ({}, True)
    (beside,) = (path for path in tmp_path.iterdir() if path.name != "events.jsonl")
    assert json.loads(beside.read_text()) == {"x": "y" * (room + 1)}
