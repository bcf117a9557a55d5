"""What a batch's nodes ask for at one time is read once, and nobody is given what is older than the question."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import FENCE, OPERATOR, banner, node, task

from knowngood.adapters.nodes import batch, claiming
from knowngood.adapters.nodes.view import Shared, View
from knowngood.model.names import CLAIM_ANNOTATION

MANY = [f"gpu-{i}" for i in range(1, 41)]


def fleet(names: list[str]) -> tuple[FakeKube, Counter[str]]:
    kube, asked = FakeKube(), Counter[str]()
    for name in names:
        kube.put(f"/api/v1/nodes/{name}", node(name))
        pod = {"metadata": {"namespace": OPERATOR}, "spec": {"nodeName": name}}
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


def test_a_reading_that_fails_is_nobody_elses() -> None:
    answers = [OSError("away")]

    def read() -> int:
        if answers:
            raise answers.pop()
        return 7

    shared = Shared(read)
    with pytest.raises(OSError, match="away"):
        shared.now()
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
    assert few.pods("gpu-1") == many.pods("gpu-1")
    assert View(kube, [*MANY, "gone"], OPERATOR).node("gone") is None


def test_all_pods_of_a_batch_are_listed_once_and_what_is_left_is_asked_of_its_node() -> None:
    kube, asked = fleet(MANY)
    view = View(kube, MANY, OPERATOR)
    asked.clear()
    assert [len(view.everything(name)) for name in MANY[:3]] == [1, 1, 1]
    first = asked["GET /api/v1/pods"]
    kube.objects.clear()
    assert view.everything("gpu-2") == []
    assert asked["GET /api/v1/pods"] == first + 1
