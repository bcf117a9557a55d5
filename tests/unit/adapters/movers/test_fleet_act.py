"""The door for our Ansible module of fleet parts: each end is told as what it is, and nothing is done by halves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.planner.matrices import cluster

from knowngood.adapters.movers import fleet_act
from knowngood.adapters.movers.fleet_task import FleetTask
from knowngood.adapters.movers.fleet_work import KubeFleet
from knowngood.model.errors import CouldNot, KnowngoodError, LockHeld, Refused, Unreachable, UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.mover import MoverSpec, Moving, Starts
from knowngood.ports.cancel import Cancel

PARAMS: Mapping[str, Any] = {
    "component": "thing",
    "before": "1",
    "after": "2",
    "mover": {
        "class": "olm-v0",
        "starts": "approve",
        "fields": {"Subscription": {"spec.startingCSV": "t.v{version}"}},
    },
    "object": {
        "apiVersion": "operators.coreos.com/v1alpha1",
        "kind": "Subscription",
        "name": "t",
        "namespace": "s",
    },
    "key": "run-1/hop-1/forward",
}


class Actor:
    """Does what it is told: says words, or raises."""

    def __init__(self, end: str | KnowngoodError) -> None:
        self.end = end
        self.seen: list[tuple[str, str, Moving]] = []

    def start(self, task: FleetTask, moving: Moving) -> str:
        self.seen.append(("start", task.run, moving))
        if isinstance(self.end, KnowngoodError):
            raise self.end
        return self.end

    def back(self, task: FleetTask, moving: Moving) -> str:
        self.seen.append(("back", task.run, moving))
        return str(self.end)


@pytest.fixture(autouse=True)
def _kube(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet_act, "Kube", lambda *_place, **_options: FakeKube())
    monkeypatch.setattr(fleet_act, "default_path", lambda: None)


def acting(monkeypatch: pytest.MonkeyPatch, end: str | KnowngoodError) -> Actor:
    actor = Actor(end)
    monkeypatch.setattr(fleet_act, "ACTORS", {"olm-v0": actor})
    return actor


@pytest.mark.parametrize(("verb", "asked"), [("approve", "start"), ("back", "back")])
def test_a_verb_reaches_the_class_with_the_whole_move(
    verb: str, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = acting(monkeypatch, "done")
    result = fleet_act.perform(verb, {**PARAMS, "reinstall": True})
    assert (result["changed"], result["failed"], result["knowngood"]["done"]) == (True, False, "done")
    ((what, run, moving),) = actor.seen
    assert (what, run, moving.before, moving.after, moving.reinstall) == (asked, "run-1", "1", "2", True)
    assert moving.declared_by == ObjectRef("operators.coreos.com/v1alpha1", "Subscription", "t", "s")


def test_nothing_to_do_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    acting(monkeypatch, "")
    assert fleet_act.perform("approve", PARAMS)["changed"] is False


@pytest.mark.parametrize(
    ("error", "end", "raised"),
    [
        (Refused("a stranger", hint="move it first"), "refused", Refused),
        (LockHeld("run-2 holds it"), "lock held", LockHeld),
        (UsageError("no such file"), "usage", UsageError),
        (CouldNot("not yet"), "could not", CouldNot),
        (Unreachable("nobody answers"), "could not", CouldNot),
    ],
)
def test_each_bad_end_is_told_as_what_it_is(
    error: KnowngoodError, end: str, raised: type[KnowngoodError], monkeypatch: pytest.MonkeyPatch
) -> None:
    acting(monkeypatch, error)
    result = fleet_act.perform("approve", PARAMS)
    told = result["knowngood"]
    assert (result["failed"], told["end"], told["why"], told["hint"]) == (
        True,
        end,
        error.message,
        error.hint,
    )
    assert fleet_act.ENDS[told["end"]] is raised


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mover": {"class": "daemon-driver"}}, "approves nothing"),
        ({"mover": {"class": "olm-v0", "strange": 1}}, "can't be read"),
        ({"object": {"kind": "Subscription"}}, "can't be read"),
    ],
)
def test_what_is_not_understood_is_not_done(
    change: Mapping[str, Any], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    actor = acting(monkeypatch, "done")
    result = fleet_act.perform("approve", {**PARAMS, **change})
    assert words in result["msg"]
    assert (result["knowngood"]["end"], actor.seen) == ("usage", [])


def test_what_a_role_must_do_is_not_passed_over_where_there_is_none() -> None:
    moving = Moving("thing", "1", "2", MoverSpec(kind="olm-v0", starts=Starts.APPROVE))
    fleet = KubeFleet(FakeKube(), cluster())
    for act in (fleet.start, fleet.back):
        with pytest.raises(UsageError, match="by its role"):
            act(moving, "run-1/hop-1/forward", Cancel())
