"""A probe's image is waited for as such: what it takes is not the judgement's time, and has an end of its own."""

from __future__ import annotations

import copy
import time
from functools import partial
from typing import Any

from tests.unit.adapters.judging.test_probe_job import FATES, FakeKube, run

from knowngood.adapters.kubernetes.client import Object


class Pulling(FakeKube):
    """Each pod waits for its image for so many seconds."""

    def __init__(self, seconds: float) -> None:
        super().__init__(lambda _node: copy.deepcopy(FATES["an image that is pulled"][0]))
        self.there = time.monotonic() + seconds

    def list(self, where: str, labels: str = "", fields: str = "", keep: Any = None) -> list[Object]:
        found = super().list(where, labels, fields, keep)
        for pod in found if where.endswith("/pods") and time.monotonic() > self.there else ():
            pod["status"] = {"phase": "Succeeded"}
        return found


def test_the_time_that_an_image_takes_is_not_the_judgements() -> None:
    answers = run(Pulling(0.8), deadline=0.5, pull=60.0)
    assert (len(answers.documents), answers.missing) == (2, {})


def test_an_image_is_not_waited_for_beyond_its_own_time() -> None:
    answers = run(Pulling(60.0), deadline=0.2, pull=0.5)
    assert answers.documents == {}
    assert all("its image is being pulled" in why for why in answers.missing.values())


def _always(status: Object | None, _node: str) -> Object | None:
    return status


def test_nothing_else_gets_the_images_time() -> None:
    """A pod that runs, or whose volume is not there, has the deadline and no more."""
    began = time.monotonic()
    for status in ({"phase": "Running"}, FATES["a folder of the host that is not there"][0]):
        assert run(FakeKube(partial(_always, status), lambda _node: ""), deadline=0.2, pull=60.0).missing
    assert time.monotonic() - began < 20.0
