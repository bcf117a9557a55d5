"""What the nodes beside a judged one are asked for, and when none of them can tell."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import NODE as GPU
from tests.unit.adapters.machines import OPERATOR, PODS, machine

from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.kubernetes.client import ApiError
from knowngood.adapters.kubernetes.pod_exec import Ran
from knowngood.gate.log_errors import Beside
from knowngood.gate.neighbours import _uptime, neighbours
from knowngood.model.context import Window

from .conftest import request
from .test_kernel_log import NOW, entry
from .test_log_errors import xid


class Journals(FakeKube):
    """The journals of nodes that stayed; a node that is not among them does not answer."""

    def _serve(self, method: str, path: str, query: dict[str, str], body: Any, kind: str) -> tuple[int, Any]:
        if "/proxy/" not in path:
            return super()._serve(method, path, query, body, kind)
        node = path.partition("/nodes/")[2].partition("/")[0]
        found = self.journals.get(node)
        return (200, found.encode()) if found is not None else (503, {"message": "no route"})


@pytest.mark.parametrize(
    ("there", "unread", "still"),
    [((), True, set()), (("still-1",), False, {"Xid 31"}), (("gone",), True, set())],
)
def test_nodes_that_stayed_are_unread_only_where_none_answers(
    there: tuple[str, ...], unread: bool, still: set[str]
) -> None:
    found = asked_beside(dict.fromkeys(there, 9.0), 1.0, ("still-1", "still-2"))
    assert (bool(found.unread), set(found.still)) == (unread, still)


def asked_beside(ups: Mapping[str, float | None], hours: float | None, still: tuple[str, ...]) -> Beside:
    """What nodes that stayed tell, each up for so many seconds, with an Xid 31 at 5 s."""
    kube = Journals()
    kube.journals = {node: entry(5.0, xid(31)) + "\n" for node in ups}
    make: Any = neighbours.__wrapped__  # type: ignore[attr-defined]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("knowngood.gate.neighbours._uptime", lambda _kube, node, _at: ups.get(node))
        cluster = SimpleNamespace(operator_namespace="n")
        found: Beside = make(kube, cluster, request(still=still), lambda _node, _boot: "")("gpu-1", hours)
    return found


def test_a_node_that_stayed_is_read_for_as_long_as_the_window_is_open() -> None:
    """Counted back from now by its own uptime: silence before that is no "they don't have it", nor is an old error."""
    for up, still in ((600.0, {"Xid 31"}), (3630.0, {"Xid 31"}), (3700.0, set())):
        assert asked_beside({"still-1": up}, 1.0, ("still-1",)) == Beside({}, still), up
    assert "is up" in asked_beside({"still-1": None}, 1.0, ("still-1",)).unread


def test_the_uptime_is_what_a_ready_driver_pod_tells_or_else_the_journals_newest_entry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A driver that the system's image brings has no pod."""
    kube = Journals()
    machine(kube)
    monkeypatch.setattr(pod_exec, "run", lambda *_where, **_options: Ran("600.25 4000.0\n", "", 0))
    assert _uptime(kube, GPU, OPERATOR) == 600.25
    kube.objects[f"{PODS}/driver-old"]["status"]["conditions"] = []
    del kube.journals[GPU]
    with pytest.raises(ApiError):
        _uptime(kube, GPU, OPERATOR)
    kube.journals[GPU] = entry(5.0, "x") + "\n"
    assert _uptime(kube, GPU, OPERATOR) == 5.0
    for words in ("", "-- No entries --\n", '{"MESSAGE": "x"}\n', "[]\n"):
        kube.journals[GPU] = words
        assert _uptime(kube, GPU, OPERATOR) is None


def test_for_how_long_others_must_be_read_is_not_known_after_a_reboot() -> None:
    found = asked_beside({"still-1": 600.0}, None, ("still-1",))
    assert (set(found.still), "rebooted" in found.unread) == (set(), True)
    assert asked_beside({}, None, ()) == Beside({}, set()), "nobody stayed: nobody can be asked"


def moved(journals_: Mapping[str, str | None], **asked: Any) -> Beside:
    """What the other judged nodes tell, by their present boot's journals; None: it can't be read."""

    def journal_of(node: str, boot: int) -> str:
        assert boot == 0, "an older boot is no answer"
        if (found := journals_[node]) is None:
            raise ApiError(503, "", "no route", "a journal")
        return found

    make: Any = neighbours.__wrapped__  # type: ignore[attr-defined]
    judgement = request(nodes=("gpu-1", *journals_), **asked)
    found: Beside = make(Journals(), SimpleNamespace(operator_namespace="n"), judgement, journal_of)(
        "gpu-1", 1.0
    )
    return found


def test_what_moved_beside_the_judged_node_tells_where_it_has_the_same_error() -> None:
    found = moved(
        {"gpu-2": entry(5.0, xid(31)), "gpu-3": entry(5.0, xid(31, "28")), "gpu-4": None, "gpu-5": "{"}
    )
    assert found.moved == {
        "Xid 31": {("gpu-2", "0000:18:00", None, None), ("gpu-3", "0000:28:00", None, None)}
    }


def test_of_a_node_that_moved_only_what_is_new_since_its_window_opened_counts() -> None:
    lines = "\n".join([entry(5.0, xid(31)), entry(50.0, xid(13))])
    window = {"gpu-2": Window(NOW, 20.0, "")}
    assert {*moved({"gpu-2": lines}, windows=window).moved} == {"Xid 13"}
    assert {*moved({"gpu-2": lines}, loads=window).moved} == {"Xid 13"}
    had = {"gpu_errors/gpu-2": {"errors": {"Xid 13": 1}}}
    assert {*moved({"gpu-2": lines}, baseline=had).moved} == {"Xid 31"}
    assert moved({"gpu-2": entry(5.0, xid(79, text="x"))}).moved == {}, "no application's"
