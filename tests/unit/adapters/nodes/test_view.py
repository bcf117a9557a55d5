"""What a batch's nodes ask for at one time is read once, and nobody is given what is older than the question."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import DRIVER_LABELS, FENCE, OPERATOR, banner, node, task

from knowngood.adapters.cluster.facts import DRIVER_LABEL
from knowngood.adapters.nodes import batch, claiming
from knowngood.adapters.nodes.view import Shared, View
from knowngood.model.names import CLAIM_ANNOTATION

MANY = [f"gpu-{i}" for i in range(1, 41)]


def fleet(names: list[str]) -> tuple[FakeKube, Counter[str]]:
    kube, asked = FakeKube(), Counter[str]()
    for name in names:
        kube.put(f"/api/v1/nodes/{name}", node(name))
        pod = {"metadata": {"namespace": OPERATOR, "labels": DRIVER_LABELS}, "spec": {"nodeName": name}}
        kube.put(f"/api/v1/namespaces/{OPERATOR}/pods/driver-{name}", pod)
        kube.journals[name] = banner("580.173.02", 12.5)
    kube.before.append(lambda method, where: asked.update([f"{method} {where}"]))
    return kube, asked


def test_who_asks_before_a_reading_begins_is_served_by_it_and_who_asks_later_by_the_next() -> None:
    numbers, began, goes_on = iter(range(10)), threading.Event(), threading.Event()

    def read() -> int:
        number = next(numbers)
        began.set()
        assert goes_on.wait(10)
        return number

    shared = Shared(read)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(shared.now)
        assert began.wait(10)
        later = [
            pool.submit(shared.now) for _ in range(3)
        ]  # the first reading may have missed what they ask about
        goes_on.set()
        assert first.result(10) == 0
        assert all(one.result(10) >= 1 for one in later)


def test_a_reading_that_fails_fails_for_all_whom_it_would_have_served_and_for_nobody_later() -> None:
    """An API server that is away for a minute costs a batch that minute, and not each of its nodes one."""
    tries, began, goes_on = Counter[str](), threading.Event(), threading.Event()

    def read() -> int:
        tries["all"] += 1
        began.set()
        assert goes_on.wait(10)
        if tries["all"] <= 2:
            raise OSError("away")
        return 7

    shared = Shared(read)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(shared.now)
        assert began.wait(10)
        waiting = [pool.submit(shared.now) for _ in range(5)]
        while not all(one.running() for one in waiting):
            pass
        goes_on.set()
        assert isinstance(first.exception(10), OSError)
        assert all(isinstance(one.exception(10), OSError) for one in waiting)
    assert tries["all"] <= 2 + len(waiting)
    assert shared.now() == 7


def test_many_nodes_are_claimed_and_given_back_by_one_list_and_a_patch_a_node() -> None:
    kube, asked = fleet(MANY)
    of = task(kube)
    assert batch.each(of, MANY, claiming.claim).done == MANY
    held = kube.objects["/api/v1/nodes/gpu-7"]["metadata"]["annotations"]
    assert (held["other"], held[CLAIM_ANNOTATION]) == ("kept", FENCE), "what is another's stays on the object"
    assert not any(f"GET /api/v1/nodes/{name}" in asked for name in MANY)
    assert batch.each(of, MANY, claiming.release).done == MANY
    assert sum(count for what, count in asked.items() if what.startswith("PATCH")) == 2 * len(MANY)


def test_what_no_patch_makes_conditional_is_asked_of_the_node_itself() -> None:
    """Between a list and an eviction another runner may have taken the node over."""
    kube, asked = fleet(MANY)
    of = replace(task(kube), batch=tuple(MANY))
    claiming.claim(of, "gpu-3")
    asked.clear()
    of.ours("gpu-3")
    assert asked == {"GET /api/v1/nodes/gpu-3": 1}


def test_a_list_knows_the_same_of_a_node_as_the_node_itself() -> None:
    kube, _ = fleet(MANY)
    few, many = View(kube, MANY[:2], OPERATOR), View(kube, MANY, OPERATOR)
    assert few.node("gpu-1") == many.node("gpu-1")
    assert few.labelled("gpu-1", DRIVER_LABEL) == many.labelled("gpu-1", DRIVER_LABEL)
    assert View(kube, [*MANY, "gone"], OPERATOR).node("gone") is None


def test_a_node_whose_label_says_another_name_is_asked_for_by_its_own() -> None:
    kube, asked = fleet(MANY)
    kube.objects["/api/v1/nodes/gpu-5"]["metadata"]["labels"]["kubernetes.io/hostname"] = "gpu-5.example.com"
    found = View(kube, MANY, OPERATOR).node("gpu-5")
    assert found == kube.objects["/api/v1/nodes/gpu-5"]
    assert asked["GET /api/v1/nodes/gpu-5"] == 1


def test_a_reading_that_took_long_is_not_begun_again_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, slept = [0.0], []

    def read() -> int:
        clock[0] += 0.5
        return 1

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock[0] += seconds

    monkeypatch.setattr("knowngood.adapters.nodes.view.time.monotonic", lambda: clock[0])
    monkeypatch.setattr("knowngood.adapters.nodes.view.time.sleep", sleep)
    shared = Shared(read)
    shared.now()
    shared.now()
    assert slept == [0.0, 5 * 0.5 - 0.5]
