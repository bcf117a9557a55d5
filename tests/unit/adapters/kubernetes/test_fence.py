"""The fence grows over the life of the cluster, and to its holder a Lease is its uid."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.unit.adapters.fake_kube import FakeKube

from knowngood.adapters.kubernetes.lease import LEASE_PATH, KubeLock
from knowngood.model.errors import LockHeld
from knowngood.ports.cancel import Cancel

DURATION = 0.8  # seconds


@pytest.fixture(name="kube")
def _kube() -> FakeKube:
    kube = FakeKube()
    kube.put("/api/v1/namespaces/knowngood", {})
    return kube


@pytest.fixture(name="locks")
def _locks(kube: FakeKube) -> Iterator[list[KubeLock]]:
    locks = [KubeLock(kube, DURATION) for _ in range(2)]
    yield locks
    for lock in locks:
        lock.release()


def spec(kube: FakeKube) -> dict[str, object]:
    found: dict[str, object] = kube.objects[LEASE_PATH]["spec"]
    return found


def test_a_lease_that_was_made_anew_is_another_one_and_stops_its_old_holder(
    kube: FakeKube, locks: list[KubeLock]
) -> None:
    """kubectl deleted it and a runner of the same run took it elsewhere: same name, same holder, same number."""
    cancel = Cancel()
    fence = locks[0].acquire("run-a", cancel)
    again = {key: value for key, value in kube.objects.pop(LEASE_PATH).items() if key != "metadata"}
    kube.put(LEASE_PATH, again)
    assert spec(kube)["leaseTransitions"] == fence
    assert cancel.wait(DURATION * 2)
    assert "made anew" in cancel.reason
    assert kube.objects[LEASE_PATH]["metadata"]["uid"], "and it is not touched"
    locks[0].release()
    assert spec(kube)["holderIdentity"] == "run-a"


def test_the_fence_grows_over_a_deleted_lease_by_what_the_checkpoints_remember(
    kube: FakeKube, locks: list[KubeLock]
) -> None:
    locks[0].acquire("run-a", Cancel())
    del kube.objects[LEASE_PATH]
    assert locks[1].acquire("run-a", Cancel(), above=7) == 8
    assert spec(kube)["leaseTransitions"] == 8


def test_a_lease_that_counts_further_than_the_checkpoints_goes_on_counting(
    kube: FakeKube, locks: list[KubeLock]
) -> None:
    kube.put(LEASE_PATH, {"spec": {"leaseTransitions": 9}})
    assert locks[0].acquire("run-a", Cancel(), above=7) == 10


def test_the_lease_says_who_holds_it_and_the_refusal_names_them(kube: FakeKube) -> None:
    mine = KubeLock(kube, DURATION, {"who": "ada@laptop", "version": "1.2.3"})
    mine.acquire("run-a", Cancel())
    annotations = kube.objects[LEASE_PATH]["metadata"]["annotations"]
    assert annotations["knowngood.dev/who"] == "ada@laptop"
    assert annotations["knowngood.dev/version"] == "1.2.3"
    with pytest.raises(LockHeld, match="run run-a holds the cluster for ada@laptop"):
        KubeLock(kube, DURATION).acquire("run-b", Cancel())
    mine.release()
    after = KubeLock(kube, DURATION, {"who": "ben@b", "version": "1.2.4"})
    after.acquire("run-b", Cancel())
    assert kube.objects[LEASE_PATH]["metadata"]["annotations"]["knowngood.dev/who"] == "ben@b"
    after.release()
