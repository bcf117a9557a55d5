"""Whatever stands in a container's log: the documents of this node and boot, or that there are none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from knowngood.adapters.judging.probe_words import completed, document, pulls, why
from knowngood.adapters.kubernetes.client import Object

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
OURS = st.fixed_dictionaries(
    {"schema": JSON | st.just(1), "node": st.sampled_from(["gpu-1", "gpu-2", ""]), "results": JSON},
    optional={"bootId": st.sampled_from(["a", "b"])},
)
LINES = st.lists(
    st.text(max_size=40) | JSON.map(json.dumps) | OURS.map(json.dumps) | st.just("[" * 5000), max_size=6
)


@settings(max_examples=150, deadline=None)
@given(LINES)
def test_no_log_breaks_the_reader_and_no_other_nodes_word_is_taken(lines: list[str]) -> None:
    try:
        found = document("\n".join(lines), "gpu-1")
    except ValueError:
        return
    assert found["node"] == "gpu-1"
    whole = completed(found, ("rdma", "training"), "it ended")
    assert {"rdma", "training"} <= whole["results"].keys()


def test_of_two_documents_of_a_payload_the_last_counts() -> None:
    def line(ok: Any) -> str:
        return json.dumps({"schema": 1, "node": "n", "bootId": "b", "results": {"rdma": {"ok": ok}}})

    assert document(f"{line(False)}\n{line(True)}", "n")["results"]["rdma"] == {"ok": True}


@pytest.mark.parametrize(
    ("said", "lost"), [((), ("a", "b", "c")), (("a",), ("b", "c")), (("b",), ("a", "c"))]
)
def test_the_first_payload_without_a_word_is_the_one_that_ran(
    said: tuple[str, ...], lost: tuple[str, ...]
) -> None:
    results = completed({"results": {n: {"ok": True} for n in said}}, ("a", "b", "c"), "it died")["results"]
    told = [results[name]["reason"] for name in lost]
    assert told == ["it died while it ran", *["it died before its turn"] * (len(lost) - 1)]


def test_a_job_that_its_queue_holds_back_says_so() -> None:
    held = {"metadata": {"name": "probe-1"}, "spec": {"suspend": True}, "status": {}}
    assert (
        why(None, held, 7.0) == "the probe's Job probe-1 was not let in by its queue in 7 s (it is suspended)"
    )
    assert "made no pod" in why(None, {**held, "spec": {"suspend": False}}, 7.0)


def test_only_an_image_that_is_being_pulled_is_pulling() -> None:
    def pod(reason: str, ready: str) -> Object:
        conditions = [{"type": "PodReadyToStartContainers", "status": ready}]
        states = [{"state": {"waiting": {"reason": reason}}}]
        return {"spec": {}, "status": {"conditions": conditions, "containerStatuses": states}}

    assert pulls(pod("ContainerCreating", "True"))
    assert not pulls(pod("ContainerCreating", "False")), "its volumes are not there"
    assert not pulls(pod("ImagePullBackOff", "True")), "it can't be pulled"
    assert not pulls({"spec": {}, "status": {"phase": "Running"}})
