"""What a session reads of nodes is read once, as far back as it is needed, and by nobody who was not asked for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from knowngood.adapters.judging.probe_manifest import fabric_name, group_name
from knowngood.gate import fixtures
from knowngood.gate.context import SEEN
from knowngood.gate.fixtures import CONTEXT, PAYLOAD, Look
from knowngood.gate.verdicts import GateInconclusive
from knowngood.model.context import Window
from knowngood.model.node import Leftover, NodeState

from .conftest import BOOT, healthy, request

LINE = '{"MESSAGE": "x"}'


def made(fixture: Any) -> Callable[..., Any]:
    """The function of a fixture."""
    found: Callable[..., Any] = fixture.__wrapped__
    return found


def session(*payloads: str, asked: list[str] | None = None) -> Any:
    """A session whose gates have these payloads; what it asks for is kept."""
    items = [SimpleNamespace(module=SimpleNamespace(**{PAYLOAD: payload})) for payload in payloads]
    keep = asked if asked is not None else []
    return SimpleNamespace(session=SimpleNamespace(items=items), getfixturevalue=keep.append)


@pytest.mark.parametrize(
    ("uptime", "ago", "up"), [(1000.0, "-140s", 1010.0), (None, "-40s", None)], ids=["told", "not told"]
)
def test_an_older_entry_is_asked_for_half_a_minute_before_the_window_by_the_clock_of_now(
    uptime: float | None, ago: str, up: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten seconds after the look; the same moment once, and near to the boot its first line is looked for."""
    answers = [[LINE], ["-- No entries --"], [LINE]]
    asked: list[tuple[str, dict[str, str], float | None]] = []

    def ask(_kube: object, node: str, query: dict[str, str], *, up: float | None) -> list[str]:
        asked.append((node, query, up))
        return answers.pop(0)

    monkeypatch.setattr("knowngood.gate.fixtures.kernel_source.ask", ask)
    monkeypatch.setattr("knowngood.gate.fixtures.time.monotonic", lambda: 50.0)
    before = made(fixtures.entry_before)(None, Look({"gpu-1": healthy(uptime_seconds=uptime)}, 40.0))
    assert [before("gpu-1", 900.0), before("gpu-1", 900.0)] == [LINE, LINE]
    assert asked == [("gpu-1", {"until": ago, "tail": "1"}, up)]
    assert before("gpu-1", 901.0) == LINE
    assert asked[2:] == [("gpu-1", {"grep": "^Linux version ", "tail": "1"}, up)]


@pytest.mark.parametrize(
    ("moment", "text", "since", "found"),
    [
        (None, "NVRM: a", None, "NVRM: a"),
        ((BOOT, 99.0), "NVRM: loading, mlx5_core", 5.0, "NVRM: loading, mlx5_core"),
        ((BOOT, 99.0), "NVRM: loading", 5.0, "older NVRM: loading"),
        (("another", 99.0), "NVRM: loading", None, "NVRM: loading"),
    ],
    ids=["no moment", "all is there", "one banner lacks", "another boot"],
)
def test_what_was_loaded_before_the_window_is_asked_for_where_its_banner_lacks(
    moment: tuple[str, float] | None,
    text: str,
    since: float | None,
    found: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[tuple[float | None, float | None]] = []

    def read(_kube: object, _node: str, *, since: float | None, up: float | None, words: str) -> str:
        assert words == "loading|mlx5"
        asked.append((since, up))
        return text

    monkeypatch.setattr("knowngood.gate.fixtures.journals.read", read)
    monkeypatch.setattr("knowngood.gate.fixtures.facts.journal", lambda *_, **__: "older ")
    monkeypatch.setattr(
        "knowngood.gate.fixtures.cluster_reader", lambda _kube, _cluster, journal, **_: journal
    )
    context = SimpleNamespace(request=request(windows={"gpu-1": Window(BOOT, 5.0, "")}), cluster=None)
    told: dict[str, str] = {}
    journal = made(fixtures.reader)(session(), context, None, told)
    assert journal("gpu-1", "loading|mlx5", moment) == found
    assert (asked, told) == ([(since, moment[1] if moment else None)], {"gpu-1": text})


@pytest.mark.parametrize(("payloads", "ports"), [(("rdma",), True), (("training",), False), ((), False)])
def test_ports_are_read_where_a_gate_judges_them(
    payloads: tuple[str, ...], ports: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("knowngood.gate.fixtures.cluster_reader", lambda *_, ports: ports)
    context = SimpleNamespace(request=request(), cluster=None)
    assert made(fixtures.reader)(session(*payloads), context, None, {}) is ports


class Reader:
    """A cluster whose nodes are all well; it says which it was asked for."""

    def __init__(self, left: Sequence[Leftover] = ()) -> None:
        self.observed: list[str] = []
        self._left = left

    def observe(self, nodes: Sequence[str], _specs: object) -> Mapping[str, NodeState]:
        self.observed += nodes
        return {name: healthy(name=name) for name in nodes}

    def leftovers(self) -> Sequence[Leftover]:
        return self._left


@pytest.mark.parametrize(
    ("payloads", "first"),
    [
        ((), []),
        (("rdma",), []),
        (("training",), ["answers"]),
        (("inference", "fabric"), ["answers", "meeting"]),
    ],
)
def test_what_computes_goes_before_the_look_and_what_a_runs_start_saw_is_not_read_again(
    payloads: tuple[str, ...], first: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = SimpleNamespace(states={"a": healthy(name="a"), "z": healthy()}, journals={"a": "line"}, at=7.0)
    monkeypatch.setattr("knowngood.gate.fixtures.spool.read", lambda _path: kept)
    reader, told, asked = Reader(), dict[str, str](), list[str]()
    begun = {name: healthy(name=name) for name in "ab"}
    context = SimpleNamespace(first_look="x", folder=str(tmp_path))
    wanted = request(nodes=("a", "b"))
    found = made(fixtures.look)(session(*payloads, asked=asked), wanted, reader, begun, context, told)
    assert (asked, reader.observed, told, found.at) == (first, ["b"], {"a": "line"}, 7.0)
    assert sorted(found.states) == ["a", "b"]
    assert sorted(json.loads((tmp_path / SEEN).read_text())) == ["a", "b"]


def test_a_judgements_own_probes_are_no_leftovers_and_all_else_is() -> None:
    asked = request(run="r1")
    own = [group_name("r1", name) for name in (asked.name, fabric_name(asked.name))]
    mine = [Leftover("job", f"knowngood/{group}-abc", "at work", "r1") for group in own]
    others = [
        Leftover("job", f"knowngood/{group_name('r1', 'another')}-abc", "left", "r1"),
        Leftover("lease", f"knowngood/{own[0]}-abc", "named so"),
    ]
    assert made(fixtures.leftovers)(Reader([*mine, *others]), asked) == others


def test_a_test_is_played_for_each_node_that_its_gate_judges() -> None:
    asked = request(nodes=("a", "b"), only={"fabric": ("b",)})
    config = SimpleNamespace(stash={CONTEXT: SimpleNamespace(request=asked)})
    played: list[tuple[str, tuple[str, ...]]] = []

    def metafunc(gate: str, *names: str) -> Any:
        return SimpleNamespace(
            fixturenames=names,
            config=config,
            module=SimpleNamespace(__file__=f"gates/{gate}.py"),
            parametrize=lambda name, nodes, ids: played.append((name, nodes)),
        )

    for gate, names in (("drift", ("node", "state")), ("fabric", ("node",)), ("registry", ("cluster",))):
        fixtures.pytest_generate_tests(metafunc(gate, *names))
    assert played == [("node", ("a", "b")), ("node", ("b",))]


def test_a_baseline_is_the_gates_own_of_that_node() -> None:
    node = SimpleNamespace(node=SimpleNamespace(path=Path("gates/drift.py")))
    kept = {"drift/a": {"x": 1}, "drift/b": {"x": 2}, "fabric/c": {"x": 3}}
    baseline = made(fixtures.baseline)
    assert [baseline(node, request(baseline=kept), name) for name in "abz"] == [{"x": 1}, {"x": 2}, None]
    assert baseline(node, request(baseline=kept, taking_baseline=True), "a") is None
    with pytest.raises(GateInconclusive, match="nothing was measured on this node before"):
        baseline(node, request(baseline=kept), "c")
