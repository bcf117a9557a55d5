"""One run holds the cluster. Time is our own monotonic clock; the fence grows at each taking."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from tests.unit.adapters.fake_kube import FakeKube

from knowngood.adapters.kubernetes import lease
from knowngood.adapters.kubernetes.client import Object
from knowngood.adapters.kubernetes.lease import LEASE_PATH, KubeLock
from knowngood.model.errors import Interrupted, LockHeld, Unreachable, UsageError
from knowngood.model.names import PROCESS_ANNOTATION
from knowngood.ports.cancel import Cancel

DURATION = 0.8  # seconds; the object says 1, the API's smallest


@pytest.fixture(name="kube")
def _kube() -> FakeKube:
    kube = FakeKube()
    kube.put("/api/v1/namespaces/knowngood", {})
    return kube


@pytest.fixture(name="locks")
def _locks(kube: FakeKube) -> Iterator[list[KubeLock]]:
    """Locks that are released at the end, whatever the test did."""
    locks = [KubeLock(kube, DURATION) for _ in range(2)]
    yield locks
    kube.before.clear()
    for lock in locks:
        lock.release()


def spec(kube: FakeKube) -> dict[str, object]:
    found: dict[str, object] = kube.objects[LEASE_PATH]["spec"]
    return found


def test_the_first_taker_makes_the_lease(kube: FakeKube, locks: list[KubeLock]) -> None:
    assert locks[0].acquire("run-a", Cancel()) == 1
    assert spec(kube)["holderIdentity"] == "run-a"
    assert spec(kube)["leaseTransitions"] == 1


def test_a_lease_that_is_renewed_is_held_and_the_holder_named(locks: list[KubeLock]) -> None:
    locks[0].acquire("run-a", Cancel())
    began = time.monotonic()
    with pytest.raises(LockHeld, match="run-a"):
        locks[1].acquire("run-b", Cancel())
    assert time.monotonic() - began < DURATION * 1.5


def test_two_runs_at_the_same_moment_have_one_winner(kube: FakeKube, locks: list[KubeLock]) -> None:
    """The second creates the Lease while the first is about to."""

    def overtake(method: str, where: str) -> None:
        if method == "POST":
            kube.before.clear()
            locks[1].acquire("run-b", Cancel())

    kube.before.append(overtake)
    with pytest.raises(LockHeld, match="run-b"):
        locks[0].acquire("run-a", Cancel())
    assert spec(kube)["holderIdentity"] == "run-b"


def test_a_lease_given_back_is_free_at_once_with_a_higher_fence(
    kube: FakeKube, locks: list[KubeLock]
) -> None:
    locks[0].acquire("run-a", Cancel())
    locks[0].release()
    assert "holderIdentity" not in spec(kube)
    assert locks[1].acquire("run-b", Cancel()) == 2


def test_a_dead_holders_lease_is_taken_only_after_a_whole_duration_without_renewal(
    kube: FakeKube, locks: list[KubeLock]
) -> None:
    """Its wall-clock times are an hour wrong on purpose: they must not count. Who waits is told for whom."""
    dead = {"holderIdentity": "run-a", "leaseDurationSeconds": 1, "leaseTransitions": 7}
    told: list[str] = []
    locks[1] = KubeLock(kube, DURATION, tell=told.append)
    kube.put(LEASE_PATH, {"spec": {**dead, "renewTime": "2099-01-01T00:00:00.000000Z"}})
    began = time.monotonic()
    assert locks[1].acquire("run-b", Cancel()) == 8
    assert time.monotonic() - began >= 1.0
    assert told == ["names run run-a: taken once nobody has renewed it for 1 s"]


def held_by(kube: FakeKube, process: str) -> None:
    """The Lease says that another process took it. Its holder renews on: to it somebody else wrote on it."""
    lease = kube.objects[LEASE_PATH]
    kube.put(
        LEASE_PATH, {**lease, "metadata": {**lease["metadata"], "annotations": {PROCESS_ANNOTATION: process}}}
    )


def ended_process(kube: FakeKube) -> str:
    """A process of this machine that is gone, as a Lease names it."""
    here = kube.objects[LEASE_PATH]["metadata"]["annotations"][PROCESS_ANNOTATION].rsplit("/", 2)[0]
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    return f"{here}/{gone.pid}/1"


@pytest.mark.parametrize("moment", ["GET", "PUT"])
@pytest.mark.parametrize("other", ["run-b", "run-c"])
def test_of_two_that_wait_for_a_dead_holder_only_one_takes_its_lease(
    kube: FakeKube, locks: list[KubeLock], moment: str, other: str
) -> None:
    """The other is faster when its time is just over: it must not lose the Lease again at once.

    Also where it goes on with the same run and writes the same fence.
    """
    dead = {"holderIdentity": "run-a", "leaseDurationSeconds": 1, "leaseTransitions": 7}
    kube.put(LEASE_PATH, {"spec": dead})
    began = time.monotonic()

    def faster(method: str, where: str) -> None:
        if method == moment and time.monotonic() - began > 1.0:
            kube.before.clear()
            taken = {**dead, "holderIdentity": other, "leaseTransitions": 8}
            kube.put(
                LEASE_PATH, {"metadata": {"annotations": {PROCESS_ANNOTATION: ELSEWHERE}}, "spec": taken}
            )

    kube.before.append(faster)
    with pytest.raises(LockHeld, match=other):
        locks[1].acquire("run-b", Cancel())
    assert spec(kube)["holderIdentity"] == other


def test_resume_takes_its_own_dead_runners_lease_at_once_and_the_sleeper_stops(
    kube: FakeKube, locks: list[KubeLock]
) -> None:
    sleeper = Cancel()
    locks[0].acquire("run-a", sleeper)
    held_by(kube, ended_process(kube))
    began = time.monotonic()
    assert locks[1].acquire("run-a", Cancel()) == 2
    assert time.monotonic() - began < DURATION / 4, "before the sleeper could renew it"
    assert sleeper.wait(DURATION * 2)
    assert "taken over by run-a" in sleeper.reason


def test_a_pid_that_is_anothers_by_now_is_no_living_runner(kube: FakeKube, locks: list[KubeLock]) -> None:
    locks[0].acquire("run-a", Cancel())
    here = kube.objects[LEASE_PATH]["metadata"]["annotations"][PROCESS_ANNOTATION]
    held_by(kube, f"{here.rpartition('/')[0]}/1")
    began = time.monotonic()
    assert locks[1].acquire("run-a", Cancel()) == 2
    assert time.monotonic() - began < DURATION / 4


ELSEWHERE = "0b1c2d3e-0000-4000-8000-000000000000/pid:[1]/7/7"


@pytest.mark.parametrize(
    "process", ["", ELSEWHERE, "nonsense", "THIS", "THIS-MACHINE/0/1", f"THIS-MACHINE/{'9' * 40}/1"]
)
def test_a_run_that_goes_on_somewhere_else_is_not_taken_over(
    kube: FakeKube, locks: list[KubeLock], process: str
) -> None:
    """Also where nothing says where it goes on, or it is this very process."""
    working = Cancel()
    locks[0].acquire("run-a", working)
    here = kube.objects[LEASE_PATH]["metadata"]["annotations"][PROCESS_ANNOTATION]
    held_by(kube, process.replace("THIS-MACHINE", here.rsplit("/", 2)[0]).replace("THIS", here))
    with pytest.raises(LockHeld, match="run-a"):
        locks[1].acquire("run-a", Cancel())
    assert not working.is_set()
    assert spec(kube)["leaseTransitions"] == 1


def test_a_run_that_died_elsewhere_is_taken_over_once_its_lease_has_run_out(
    kube: FakeKube, locks: list[KubeLock]
) -> None:
    dead = {"holderIdentity": "run-a", "leaseDurationSeconds": 1, "leaseTransitions": 7}
    kube.put(
        LEASE_PATH, {"metadata": {"annotations": {PROCESS_ANNOTATION: ELSEWHERE, "x": "y"}}, "spec": dead}
    )
    began = time.monotonic()
    assert locks[1].acquire("run-a", Cancel()) == 8
    assert time.monotonic() - began >= 1.0
    annotations = kube.objects[LEASE_PATH]["metadata"]["annotations"]
    assert annotations["x"] == "y"
    assert f"/{os.getpid()}/" in annotations[PROCESS_ANNOTATION]


def test_renewing_goes_on_and_survives_a_short_outage(kube: FakeKube, locks: list[KubeLock]) -> None:
    cancel = Cancel()
    locks[0].acquire("run-a", cancel)
    first = spec(kube)["renewTime"]
    down_until = time.monotonic() + DURATION / 3

    def outage(method: str, where: str) -> None:
        if time.monotonic() < down_until:
            raise Unreachable("down")

    kube.before.append(outage)
    assert not cancel.wait(DURATION * 1.5)
    assert spec(kube)["renewTime"] != first


def test_each_renewal_is_a_heartbeat_and_a_failing_one_does_no_harm(
    kube: FakeKube, locks: list[KubeLock]
) -> None:
    """What is done at a heartbeat has so little time that the Lease can't run out meanwhile."""
    cancel, twice, given = Cancel(), Cancel(), list[float]()

    def beat(seconds: float) -> None:
        given.append(seconds)
        if len(given) == 2:
            twice.set("seen")
        raise Unreachable("the checkpoint can't be read")

    locks[0].acquire("run-a", cancel, beat)
    assert twice.wait(DURATION * 2)
    assert not cancel.is_set()
    assert max(given) < DURATION / 4


def test_a_renewal_that_failed_is_no_heartbeat(kube: FakeKube, locks: list[KubeLock]) -> None:
    cancel, beats = Cancel(), list[float]()

    def outage(method: str, where: str) -> None:
        if method == "PUT":
            raise Unreachable("down")

    locks[0].acquire("run-a", cancel, beats.append)
    kube.before.append(outage)
    assert cancel.wait(DURATION * 2)
    assert beats == []


def test_two_thirds_without_renewal_stop_the_run_before_the_lease_can_expire(
    kube: FakeKube, locks: list[KubeLock]
) -> None:
    cancel = Cancel()
    locks[0].acquire("run-a", cancel)

    def outage(method: str, where: str) -> None:
        raise Unreachable("down")

    kube.before.append(outage)
    began = time.monotonic()
    assert cancel.wait(DURATION * 2)
    assert time.monotonic() - began < 1.0  # what the object says
    assert "two thirds" in cancel.reason


def test_a_deleted_lease_stops_the_run(kube: FakeKube, locks: list[KubeLock]) -> None:
    cancel = Cancel()
    locks[0].acquire("run-a", cancel)
    del kube.objects[LEASE_PATH]
    assert cancel.wait(DURATION * 2)
    assert "deleted" in cancel.reason


def test_a_renewal_that_fails_in_a_way_nobody_thought_of_stops_the_run(
    kube: FakeKube, locks: list[KubeLock]
) -> None:
    """The thread must not die silently, with the run at work without a Lease. What was said may be a secret."""
    cancel = Cancel()
    locks[0].acquire("run-a", cancel)

    def broken(method: str, where: str) -> None:
        raise ValueError("Invalid header value b'Bearer s3cret'")

    kube.before.append(broken)
    assert cancel.wait(DURATION * 2)
    assert cancel.reason == "the Lease is no longer renewed: ValueError"


def test_a_heartbeat_that_fails_in_a_way_nobody_thought_of_stops_the_run(locks: list[KubeLock]) -> None:
    cancel = Cancel()

    def beat(_seconds: float) -> None:
        raise KeyError("x")

    locks[0].acquire("run-a", cancel, beat)
    assert cancel.wait(DURATION * 2)
    assert "KeyError" in cancel.reason


class Garbled(FakeKube):
    """Answers the first renewal with no Lease, as a proxy may."""

    def once(self, method: str, where: str, body: Object | None = None, *, timeout: float) -> Object:
        answer = super().once(method, where, body, timeout=timeout)
        first, self.garbled = self.garbled, False
        return {} if first else answer

    garbled = True


def test_a_renewals_answer_that_is_no_lease_is_asked_again() -> None:
    kube, cancel = Garbled(), Cancel()
    kube.put("/api/v1/namespaces/knowngood", {})
    lock = KubeLock(kube, DURATION)
    lock.acquire("run-a", cancel)
    assert not cancel.wait(DURATION * 1.5)
    assert not kube.garbled
    lock.release()
    assert "holderIdentity" not in spec(kube)


def test_release_leaves_somebody_elses_lease_alone(kube: FakeKube, locks: list[KubeLock]) -> None:
    locks[0].acquire("run-a", Cancel())
    kube.put(LEASE_PATH, {"spec": {"holderIdentity": "run-b", "leaseTransitions": 9}})
    locks[0].release()
    assert spec(kube)["holderIdentity"] == "run-b"


def test_release_of_what_is_not_held_does_nothing(kube: FakeKube, locks: list[KubeLock]) -> None:
    locks[0].release()
    assert kube.writes == []


def test_release_during_an_outage_does_not_fail_the_run(kube: FakeKube, locks: list[KubeLock]) -> None:
    locks[0].acquire("run-a", Cancel())

    def outage(method: str, where: str) -> None:
        raise Unreachable("down")

    kube.before.append(outage)
    locks[0].release()


def test_waiting_for_a_dead_holder_can_be_interrupted(kube: FakeKube, locks: list[KubeLock]) -> None:
    kube.put(LEASE_PATH, {"spec": {"holderIdentity": "run-a", "leaseDurationSeconds": 60}})
    cancel = Cancel()
    cancel.set("Ctrl-C")
    with pytest.raises(Interrupted):
        locks[1].acquire("run-b", cancel)


def test_a_missing_namespace_says_what_to_do(locks: list[KubeLock], kube: FakeKube) -> None:
    kube.objects.clear()
    with pytest.raises(UsageError, match="namespace knowngood is missing") as failure:
        locks[0].acquire("run-a", Cancel())
    assert "kubectl apply" in failure.value.hint


def test_an_answer_lost_on_the_way_is_not_taken_for_a_rival(kube: FakeKube, locks: list[KubeLock]) -> None:
    """The create arrived, its answer did not, and the retry meets our own Lease."""
    real = kube._once

    def lossy(method: str, where: str, *rest: object) -> bytes:
        data = real(method, where, *rest)  # type: ignore[arg-type]
        if method == "POST":
            data = real(method, where, *rest)  # type: ignore[arg-type]
        return data

    kube._once = lossy  # type: ignore[method-assign, assignment]
    assert locks[0].acquire("run-a", Cancel()) == 1


class Hanging(FakeKube):
    """An API server that takes the request and never answers, as behind a dead network."""

    hangs = False

    def once(self, method: str, where: str, body: Object | None = None, *, timeout: float) -> Object:
        if self.hangs:
            time.sleep(timeout)
            raise Unreachable("no answer")
        return super().once(method, where, body, timeout=timeout)


def test_a_hanging_api_server_stops_the_run_before_the_lease_can_expire() -> None:
    kube = Hanging()
    kube.put("/api/v1/namespaces/knowngood", {})
    lock, cancel = KubeLock(kube, DURATION), Cancel()
    lock.acquire("run-a", cancel)
    kube.hangs = True
    began = time.monotonic()
    assert cancel.wait(DURATION * 2)
    assert time.monotonic() - began < DURATION
    kube.hangs = False
    lock.release()


def test_where_the_system_names_no_process_nobody_is_taken_for_dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Linux's /proc a resume waits for the Lease's end, as for a stranger's."""
    monkeypatch.setattr(lease, "_machine", lambda: "")
    assert lease._this_process() == ""
    assert not lease._ended("")
