"""A probe's image is waited for as such: what it takes is not the judgement's time, and has an end of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from tests.unit.adapters.judging.test_probe_job import FATES, FakeKube, run

from knowngood.adapters.judging import probe_job
from knowngood.adapters.kubernetes.client import Object
from knowngood.model.errors import DeadlineExceeded
from knowngood.ports.cancel import Cancel


class Time:
    """Goes on by half a second between two looks; it is both the clock that is read and the one that waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wait_for(self, condition: Callable[[], bool], *, deadline: float, what: str, cancel: Cancel) -> None:
        ends = self.now + deadline
        while not condition():
            if self.now >= ends:
                raise DeadlineExceeded(what)
            self.now += 0.5


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    found = Time()
    monkeypatch.setattr(probe_job, "time", found)
    monkeypatch.setattr(probe_job, "SystemClock", lambda: found)
    return found


class Pulling(FakeKube):
    """Each pod waits for its image until that moment."""

    def __init__(self, time: Time, until: float) -> None:
        super().__init__(lambda _node: copy.deepcopy(FATES["an image that is pulled"][0]))
        self.time, self.until = time, until

    def list(self, where: str, labels: str = "", fields: str = "", keep: Any = None) -> list[Object]:
        found = super().list(where, labels, fields, keep)
        for pod in found if where.endswith("/pods") and self.time.now > self.until else ():
            pod["status"] = {"phase": "Succeeded"}
        return found


def test_the_time_that_an_image_takes_is_not_the_judgements(time: Time) -> None:
    answers = run(Pulling(time, 50.0), deadline=5.0, pull=60.0)
    assert (len(answers.documents), answers.missing) == (2, {})
    assert 50.0 < time.now < 52.0


@pytest.mark.parametrize(("until", "documents"), [(40.0, 2), (60.0, 0)])
def test_an_image_is_not_waited_for_beyond_its_own_time(time: Time, until: float, documents: int) -> None:
    answers = run(Pulling(time, until), deadline=20.0, pull=30.0)
    assert len(answers.documents) == documents
    assert all("its image is being pulled" in why for why in answers.missing.values())
    assert len(answers.missing) == 2 - documents


def _always(status: Object | None, _node: str) -> Object | None:
    return status


@pytest.mark.parametrize("status", [{"phase": "Running"}, FATES["a folder of the host that is not there"][0]])
def test_nothing_else_gets_the_images_time(time: Time, status: Object) -> None:
    """A pod that runs, or whose volume is not there, has the deadline and no more."""
    assert run(FakeKube(partial(_always, status), lambda _node: ""), deadline=20.0, pull=600.0).missing
    assert time.now < 22.0
