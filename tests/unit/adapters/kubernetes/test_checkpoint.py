"""The run's state lies where another laptop finds it, and nobody overwrites somebody else's."""

from __future__ import annotations

import base64
import gzip
import json
import os
from dataclasses import replace

import pytest
from tests.unit.adapters.fake_kube import FakeKube

from knowngood.adapters.kubernetes.checkpoint import MAX_BYTES, ConfigMapCheckpoint
from knowngood.adapters.kubernetes.client import Busy
from knowngood.model import names
from knowngood.model.detail import Detail
from knowngood.model.errors import DataError, ExitCode, LockHeld, Unreachable, UsageError
from knowngood.model.jsonable import to_json
from knowngood.model.node import NodeState
from knowngood.model.record import Status
from knowngood.model.run_summary import RunSummary
from knowngood.model.state import End, RunState, StepResult
from knowngood.model.steppath import StepPath

RUN, OLDER = "r20260822-031500-7f3a", "r20260821-031500-7f3a"
STATE = f"/api/v1/namespaces/knowngood/configmaps/knowngood-run-{RUN}"


HELD = End("held", ExitCode.HUMAN, "a human must decide")


def at(seq: int) -> RunState:
    """The run after so many records."""
    return RunState(run=RUN, next_seq=seq, seq=seq)


@pytest.fixture(name="kube")
def _kube() -> FakeKube:
    kube = FakeKube()
    kube.put("/api/v1/namespaces/knowngood", {})
    return kube


def test_what_is_saved_is_loaded_elsewhere(kube: FakeKube) -> None:
    mine = ConfigMapCheckpoint(kube)
    mine.save(at(1))
    mine.save(at(2))
    assert ConfigMapCheckpoint(kube).load(RUN) == at(2)
    assert ConfigMapCheckpoint(kube).load("r-unknown") is None


def test_two_writers_the_second_is_told(kube: FakeKube) -> None:
    mine, other = ConfigMapCheckpoint(kube), ConfigMapCheckpoint(kube)
    mine.save(at(1))
    other.load(RUN)
    other.save(at(2))
    with pytest.raises(LockHeld, match=RUN):
        mine.save(at(3))
    assert other.load(RUN) == at(2)


def test_two_first_writers_the_second_is_told(kube: FakeKube) -> None:
    mine, other = ConfigMapCheckpoint(kube), ConfigMapCheckpoint(kube)

    def overtake(method: str, where: str) -> None:
        if method == "POST":
            kube.before.clear()
            other.save(at(9))

    kube.before.append(overtake)
    with pytest.raises(LockHeld):
        mine.save(at(1))


def test_an_abort_is_no_conflict_and_is_kept(kube: FakeKube) -> None:
    mine = ConfigMapCheckpoint(kube)
    mine.save(at(1))
    ConfigMapCheckpoint(kube).ask_abort(RUN, "hold")
    mine.save(at(2))
    assert mine.abort_asked(RUN) == "hold"
    assert mine.load(RUN) == at(2)


def test_who_heeds_an_abort_is_told_of_it_by_the_write_that_it_keeps_from_being_made(kube: FakeKube) -> None:
    mine = ConfigMapCheckpoint(kube)
    mine.save(at(1))
    asked = kube.calls
    assert mine.save(at(2), heed=True) == ""
    assert kube.calls == asked + 1, "nobody asks for an abort: that is told by the write alone"
    ConfigMapCheckpoint(kube).ask_abort(RUN, "hold")
    assert mine.save(at(3), heed=True) == "hold"
    assert mine.save(at(3), heed=True) == "hold"
    assert mine.load(RUN) == at(2)
    other = ConfigMapCheckpoint(kube)
    other.load(RUN)
    assert other.save(at(3), heed=True) == "hold", "it stood there when the state was read"
    assert mine.save(at(3)) == ""
    assert mine.load(RUN) == at(3)


def test_an_abort_is_looked_for_in_one_attempt_where_time_is_short(kube: FakeKube) -> None:
    mine = ConfigMapCheckpoint(kube)
    mine.save(at(1))
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


def lossy(kube: FakeKube, lost: str) -> None:
    """The first write by this method arrives, its answer does not, and it is sent again."""
    real, again = kube._once, [lost]

    def once(method: str, *rest: object) -> bytes:
        if again and method == lost:
            again.clear()
            real(method, *rest)  # type: ignore[arg-type]
        return real(method, *rest)  # type: ignore[arg-type]

    kube._once = once  # type: ignore[method-assign, assignment]


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_a_save_whose_answer_got_lost_is_no_conflict(kube: FakeKube, method: str) -> None:
    mine = ConfigMapCheckpoint(kube)
    lossy(kube, method)
    mine.save(at(1))
    mine.save(at(2))
    assert mine.load(RUN) == at(2)


def test_two_that_write_the_same_words_are_two_writers(kube: FakeKube) -> None:
    """Two runners of one run that got the same fence: only one of them goes on."""
    mine, other = ConfigMapCheckpoint(kube), ConfigMapCheckpoint(kube)
    mine.save(at(1))
    other.load(RUN)
    mine.save(at(2))
    with pytest.raises(LockHeld):
        other.save(at(2))


def test_what_was_read_and_is_newer_is_not_overwritten_either(kube: FakeKube) -> None:
    ConfigMapCheckpoint(kube).save(at(9))
    mine = ConfigMapCheckpoint(kube)
    mine.load(RUN)
    written = len(kube.writes)
    with pytest.raises(LockHeld):
        mine.save(at(8))
    assert len(kube.writes) == written


@pytest.mark.parametrize("end", [None, HELD])
def test_what_is_newer_is_not_overwritten_by_who_writes_for_the_first_time(
    kube: FakeKube, end: End | None
) -> None:
    ConfigMapCheckpoint(kube).save(replace(at(9), end=end, who="ben@b"))
    with pytest.raises(LockHeld, match="by ben@b"):
        ConfigMapCheckpoint(kube).save(at(8))
    assert ConfigMapCheckpoint(kube).load(RUN) == replace(at(9), end=end, who="ben@b")


def test_what_has_ended_is_not_overwritten_unless_it_was_reopened(kube: FakeKube) -> None:
    ended = replace(at(9), end=HELD)
    ConfigMapCheckpoint(kube).save(ended)
    with pytest.raises(LockHeld, match="it ended held"):
        ConfigMapCheckpoint(kube).save(at(12))
    reopened = replace(at(12), reopened=9, undo_all=True)
    ConfigMapCheckpoint(kube).save(reopened)
    assert ConfigMapCheckpoint(kube).load(RUN) == reopened


def test_a_deleted_checkpoint_is_not_written_anew(kube: FakeKube) -> None:
    mine = ConfigMapCheckpoint(kube)
    mine.save(at(1))
    del kube.objects[STATE]
    with pytest.raises(LockHeld, match="deleted"):
        mine.save(at(2))


def test_runs_are_listed_with_what_one_must_know_without_their_states(kube: FakeKube) -> None:
    frozen = {"cluster": "ams-prod", "from": "r580", "to": "r595"}
    state = replace(
        at(9), frozen=frozen, fence=4, who="ada@a", version="1.2", end=HELD, last=StepPath("hop-1/look")
    )
    mine = ConfigMapCheckpoint(kube)
    mine.save(replace(state, intended=(StepPath("hop-1/ring-0/declare"),), started="t0", updated="t1"))
    del kube.objects[STATE]["data"]
    kube.objects[STATE]["metadata"]["annotations"]["knowngood.dev/abort"] = "hold"
    (listed,) = ConfigMapCheckpoint(kube).runs()
    assert listed == RunSummary(
        RUN, "ams-prod", "r580", "r595", "t0", "t1", 9, 4, "hop-1/look", True, "held", 5, "ada@a", "1.2"
    )


def test_what_an_older_version_wrote_is_read(kube: FakeKube) -> None:
    """Its state knows no `seq` and no fence, and has no summary beside it."""
    state = to_json(replace(at(9), next_seq=9, end=HELD, frozen={"cluster": "ams-prod"}))
    for new in ("seq", "fence", "who", "version", "reopened"):
        del state[new]
    labels = {"knowngood.dev/kind": "checkpoint"}
    text = json.dumps({"state": state, "cluster": "ams-prod"})
    kube.put(STATE, {"metadata": {"labels": labels}, "data": {"state": text}})
    old = ConfigMapCheckpoint(kube)
    (listed,) = old.runs()
    assert (listed.cluster, listed.seq, listed.end) == ("ams-prod", 9, "held")
    loaded = old.load(RUN)
    assert loaded is not None
    assert (loaded.seq, loaded.end) == (9, HELD)
    old.save(replace(loaded, seq=10, end=None, reopened=9))
    assert old.runs()[0].seq == 10


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


def test_runs_are_listed_newest_first_without_their_files(kube: FakeKube) -> None:
    mine = ConfigMapCheckpoint(kube)
    for run in ("r20260821-010000-aaaa", "r20260822-010000-bbbb"):
        mine.save(replace(at(1), run=run))
        mine.keep(run, "plan.json", b"{}")
    assert [r.run for r in mine.runs()] == ["r20260822-010000-bbbb", "r20260821-010000-aaaa"]


def test_a_thousand_nodes_are_kept_in_parts_and_come_back(kube: FakeKube) -> None:
    """Measured with all their labels, they are more than one ConfigMap takes."""
    labels = {f"feature.node.kubernetes.io/{key}": "true" for key in map(str, range(60))}
    nodes = {}
    for number in range(1000):
        gpus = [
            os.urandom(16).hex() for _ in range(48)
        ]  # uuids, serial numbers, boot ids: nothing packs them
        name = f"gpu-{number:04d}.ocp.ams.example.com"
        nodes[name] = {**to_json(NodeState(name, reachable=True, labels=labels)), "gpus": gpus}
    data = json.dumps(nodes).encode()
    mine = ConfigMapCheckpoint(kube)
    mine.keep(RUN, "ab" * 32, data)
    mine.keep(RUN, "ab" * 32, data)
    sizes = [
        len(base64.b64decode(o["binaryData"]["data"])) for o in kube.objects.values() if "binaryData" in o
    ]
    assert len(sizes) > 1
    assert max(sizes) <= MAX_BYTES
    assert ConfigMapCheckpoint(kube).fetch(RUN, "ab" * 32) == data
    del kube.objects[f"{STATE}-{'ab' * 32}.1"]
    with pytest.raises(DataError, match="missing"):
        mine.fetch(RUN, "ab" * 32)


def test_settled_outcomes_lie_beside_the_state(kube: FakeKube) -> None:
    """The second machine reads them there, and what it goes on to save names them still."""
    results = {
        StepPath(f"hop-1/x-{i}/judge"): StepResult(Status.OK, Detail(why="y" * 2000)) for i in range(40)
    }
    state = replace(at(9), intended=tuple(results), results=results)
    ConfigMapCheckpoint(kube).save(state)
    assert len(kube.objects[STATE]["data"]["state"]) < 4096
    other = ConfigMapCheckpoint(kube)
    assert other.load(RUN) == state
    objects = len(kube.objects)
    other.save(replace(state, seq=10))
    assert len(kube.objects) == objects
    assert ConfigMapCheckpoint(kube).load(RUN) == replace(state, seq=10)


@pytest.mark.parametrize("damage", [b"\xff" * 20, None], ids=["garbage after gzip's header", "no data"])
def test_a_kept_file_that_can_not_be_unpacked_is_damage_and_no_bug(
    kube: FakeKube, damage: bytes | None
) -> None:
    mine = ConfigMapCheckpoint(kube)
    mine.keep(RUN, "plan.json", b"{}")
    data = base64.b64encode(gzip.compress(b"{}")[:10] + damage).decode() if damage else None
    kube.objects[f"{STATE}-plan.json"]["binaryData"] = {"data": data} if data else None
    with pytest.raises(DataError, match="unpacked"):
        mine.fetch(RUN, "plan.json")


def test_a_run_whose_forgetting_was_cut_short_is_listed_no_more_and_goes_with_the_next(
    kube: FakeKube,
) -> None:
    """What nobody can read any more must not be asked what it says against a release."""
    mine = ConfigMapCheckpoint(kube)
    for run in (RUN, OLDER):
        mine.save(replace(at(1), run=run))
        for name in ("a", "b"):
            mine.keep(run, name, b"{}")

    def killed(method: str, where: str) -> None:
        if method == "DELETE" and where.endswith("-b"):
            raise KeyboardInterrupt

    kube.before.append(killed)
    with pytest.raises(KeyboardInterrupt):
        mine.forget(OLDER)
    kube.before.clear()
    assert [run.run for run in mine.runs()] == [RUN]
    mine.forget(RUN)
    assert [where for where in kube.objects if "configmaps" in where] == []


def test_a_summary_that_somebody_damaged_is_read_from_the_state_and_mended_by_the_next_save(
    kube: FakeKube,
) -> None:
    """Else one annotation would stop every command on every run of the cluster."""
    ConfigMapCheckpoint(kube).save(replace(at(1), fence=4))
    kube.objects[STATE]["metadata"]["annotations"][f"{names.SUMMARY_ANNOTATIONS}seq"] = "many"
    mine = ConfigMapCheckpoint(kube)
    (listed,) = mine.runs()
    assert (listed.run, listed.seq, listed.fence) == (RUN, 1, 4)
    assert mine.load(RUN) is not None
    mine.save(at(2))
    assert kube.objects[STATE]["metadata"]["annotations"][f"{names.SUMMARY_ANNOTATIONS}seq"] == "2"


def test_a_state_of_a_newer_version_says_who_wrote_it_and_what_to_do(kube: FakeKube) -> None:
    ConfigMapCheckpoint(kube).save(replace(at(1), version="9.9.9"))
    document = json.loads(kube.objects[STATE]["data"]["state"])
    document["state"]["of_tomorrow"] = True
    kube.objects[STATE]["data"]["state"] = json.dumps(document)
    with pytest.raises(DataError, match=r"can't be read; knowngood 9\.9\.9 wrote it") as told:
        ConfigMapCheckpoint(kube).load(RUN)
    assert "go on with the version that wrote it" in told.value.hint
