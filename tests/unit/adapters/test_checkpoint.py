"""The run's state lies where another laptop finds it, and nobody overwrites somebody else's."""

from __future__ import annotations

import os

import pytest
from tests.unit.adapters.fake_kube import FakeKube

from knowngood.adapters.checkpoint import MAX_BYTES, ConfigMapCheckpoint
from knowngood.adapters.kube import Busy
from knowngood.model.errors import DataError, LockHeld, Unreachable, UsageError

RUN = "r20260822-031500-7f3a"
STATE = f"/api/v1/namespaces/knowngood/configmaps/knowngood-run-{RUN}"


@pytest.fixture(name="kube")
def _kube() -> FakeKube:
    kube = FakeKube()
    kube.put("/api/v1/namespaces/knowngood", {})
    return kube


def test_what_is_saved_is_loaded_elsewhere(kube: FakeKube) -> None:
    mine = ConfigMapCheckpoint(kube)
    mine.save(RUN, {"seq": 1})
    mine.save(RUN, {"seq": 2})
    assert ConfigMapCheckpoint(kube).load(RUN) == {"seq": 2}
    assert ConfigMapCheckpoint(kube).load("r-unknown") is None


def test_two_writers_the_second_is_told(kube: FakeKube) -> None:
    mine, other = ConfigMapCheckpoint(kube), ConfigMapCheckpoint(kube)
    mine.save(RUN, {"seq": 1})
    other.load(RUN)
    other.save(RUN, {"seq": 2})
    with pytest.raises(LockHeld, match=RUN):
        mine.save(RUN, {"seq": 3})
    assert other.load(RUN) == {"seq": 2}


def test_two_first_writers_the_second_is_told(kube: FakeKube) -> None:
    mine, other = ConfigMapCheckpoint(kube), ConfigMapCheckpoint(kube)

    def overtake(method: str, where: str) -> None:
        if method == "POST":
            kube.before.clear()
            other.save(RUN, {"seq": 9})

    kube.before.append(overtake)
    with pytest.raises(LockHeld):
        mine.save(RUN, {"seq": 1})


def test_an_abort_is_no_conflict_and_is_kept(kube: FakeKube) -> None:
    mine = ConfigMapCheckpoint(kube)
    mine.save(RUN, {"seq": 1})
    ConfigMapCheckpoint(kube).ask_abort(RUN, "hold")
    mine.save(RUN, {"seq": 2})
    assert mine.abort_asked(RUN) == "hold"
    assert mine.load(RUN) == {"seq": 2}


def test_an_abort_is_looked_for_in_one_attempt_where_time_is_short(kube: FakeKube) -> None:
    mine = ConfigMapCheckpoint(kube)
    mine.save(RUN, {"seq": 1})
    mine.ask_abort(RUN, "stop")
    assert mine.abort_asked(RUN, within=1.0) == "stop"
    kube.patience = kube.first_patience = 60.0
    asked = kube.calls

    def silent(method: str, where: str) -> None:
        raise Busy("no answer")

    kube.before.append(silent)
    with pytest.raises(Unreachable):
        mine.abort_asked(RUN, within=1.0)
    assert kube.calls == asked + 1


def test_a_save_whose_answer_got_lost_is_no_conflict(kube: FakeKube) -> None:
    mine = ConfigMapCheckpoint(kube)
    mine.save(RUN, {"seq": 1})
    ConfigMapCheckpoint(kube).load(RUN)
    twin = ConfigMapCheckpoint(kube)
    twin.load(RUN)
    twin.save(RUN, {"seq": 2})
    mine.save(RUN, {"seq": 2})  # the same bytes: our own write, sent twice


def test_an_unknown_run_can_not_be_aborted(kube: FakeKube) -> None:
    with pytest.raises(UsageError, match="knows no run"):
        ConfigMapCheckpoint(kube).ask_abort(RUN, "stop")
    assert ConfigMapCheckpoint(kube).abort_asked(RUN) == ""


def test_kept_files_come_back_and_twice_is_no_error(kube: FakeKube) -> None:
    mine = ConfigMapCheckpoint(kube)
    data = os.urandom(1000)
    mine.keep(RUN, "ab" * 32, data)
    mine.keep(RUN, "ab" * 32, data)
    assert ConfigMapCheckpoint(kube).fetch(RUN, "ab" * 32) == data
    with pytest.raises(LockHeld):
        mine.keep(RUN, "ab" * 32, b"other")


def test_a_kept_file_is_immutable(kube: FakeKube) -> None:
    ConfigMapCheckpoint(kube).keep(RUN, "plan.json", b"{}")
    assert kube.objects[f"{STATE}-plan.json"]["immutable"] is True


def test_a_missing_or_damaged_file_is_named(kube: FakeKube) -> None:
    mine = ConfigMapCheckpoint(kube)
    with pytest.raises(DataError, match="missing"):
        mine.fetch(RUN, "plan.json")
    mine.keep(RUN, "plan.json", b"{}")
    kube.objects[f"{STATE}-plan.json"]["metadata"]["annotations"] = {}
    with pytest.raises(DataError, match="digest"):
        mine.fetch(RUN, "plan.json")
    kube.objects[f"{STATE}-plan.json"]["binaryData"] = {"data": "AAAA"}
    with pytest.raises(DataError, match="unpacked"):
        mine.fetch(RUN, "plan.json")


def test_what_would_not_fit_is_refused_before_it_is_sent(kube: FakeKube) -> None:
    with pytest.raises(UsageError, match="gzipped"):
        ConfigMapCheckpoint(kube).keep(RUN, "big", os.urandom(MAX_BYTES + 1))
    assert kube.writes == []


def test_runs_are_listed_newest_first_without_their_files(kube: FakeKube) -> None:
    mine = ConfigMapCheckpoint(kube)
    for run in ("r20260821-010000-aaaa", "r20260822-010000-bbbb"):
        mine.save(run, {})
        mine.keep(run, "plan.json", b"{}")
    assert mine.runs() == ("r20260822-010000-bbbb", "r20260821-010000-aaaa")
