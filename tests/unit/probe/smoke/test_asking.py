"""What a server is asked, what of its answers counts, and by when all of it must be over."""

from __future__ import annotations

import dataclasses
import io
import json
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knowngood.probe.smoke import serving
from knowngood.probe.smoke.asking import Load
from knowngood.probe.smoke.by_value import Finding
from knowngood.probe.smoke.completions import TOP, Answered, Endpoint, ask, wrong
from knowngood.probe.smoke.lesson import PROMPTS
from knowngood.probe.smoke.server import MODEL, Handler

from .test_serving import Fake, handler, known, served


def test_a_request_is_one_that_any_server_of_the_api_takes() -> None:
    """Greedy, streamed, with its counts at the end, and tokens by number, as vLLM has it."""
    asked: list[dict[str, Any]] = []

    def post(self: Handler) -> None:
        length, body = int(self.headers["Content-Length"]), self.rfile
        assert isinstance(body, io.BufferedReader)
        asked.append(json.loads(body.peek(length)[:length]))
        Handler.do_POST(self)

    with served(handler(do_POST=post)) as (place,):
        ask(place, [1, 2], 3, 30.0)
    assert asked == [
        {
            "model": MODEL,
            "prompt": [1, 2],
            "max_tokens": 3,
            "temperature": 0,
            "logprobs": 5,
            "stream": True,
            "stream_options": {"include_usage": True},
            "return_tokens_as_token_ids": True,
        }
    ]
    assert TOP == 5, "OpenAI's API gives no more"


def test_the_first_request_of_a_device_is_not_counted_and_all_others_are() -> None:
    with served(handler()) as places:
        load = Load(places, known(), 1e-3, {"requests": 12, "concurrency": 4, "patience": 60.0}, math.inf)
        load.run()
        assert (list(load.findings()), len(load._took[0])) == ([], 12)


def test_an_answer_that_ends_too_early_lacks_a_token() -> None:
    wanted = dataclasses.replace(known()[0], tokens=(3, 4), top=({3: -0.1}, {4: -0.1}), finish="length")
    assert (
        wrong(Answered([3], [{3: -0.1}], "length", 2, 1), wanted, 1e-3)
        == "token 1 is missing, the CPU's is 4"
    )
    more = Answered([3, 4, 5], [{3: -0.1}, {4: -0.1}, {5: -0.1}], "length", 2, 3)
    assert wrong(more, wanted, 1e-3) == "token 2 is 5, the CPU's is missing"


@pytest.mark.parametrize(("off", "words"), [(0.9e-3, ""), (1.1e-3, "is off by 1.1e-03")])
def test_our_own_server_may_be_off_by_a_thousandth(off: float, words: str) -> None:
    wanted = dataclasses.replace(known()[0], tokens=(3,), top=({3: -0.5},), finish="length")
    said = wrong(Answered([3], [{3: -0.5 - off}], "length", 2, 1), wanted, serving.Ours("cuda").tolerance)
    assert (words in said, bool(said)) == (True, bool(words))


class Timed(Fake):
    """A server that keeps until when it may start."""

    def start(self, checkpoint: Path, folder: Path, devices: int, until: float) -> list[Endpoint]:
        self.left = until - time.monotonic()
        return super().start(checkpoint, folder, devices, until)


@pytest.mark.parametrize(("given", "seconds"), [({}, 270.0), ({"deadline": 100.0}, 90.0)])
def test_a_tenth_of_the_time_is_left_to_tell_what_was_found(
    given: dict[str, Any], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serving, "trained", lambda *_: None)
    monkeypatch.setattr(serving, "expected", lambda *_: known()[:1] * PROMPTS)
    with served(handler()) as places:
        server = Timed(places)
        found = serving.run(None, 1, {"backend": "cpu", "requests": 1, **given}, server)
    assert (found["ok"], abs(server.left - seconds) < 5) == (True, True)


def test_a_device_is_told_by_its_name_only_where_all_serve() -> None:
    """Else nobody knows which of them the second one is."""

    def told(rank: int | None, *devices: str) -> str:
        found = [Finding("it is wrong", rank)]
        return str(serving._answer("cuda", found, {"devices": list(devices)}, 2)["reason"])

    assert told(1, "GPU-0", "GPU-1") == "device 1 (GPU-1): it is wrong"
    assert told(1, "GPU-0") == "device 1 (number 1): it is wrong"
    assert told(None, "GPU-0") == "it is wrong"


def test_what_a_server_said_as_it_ended_stands_for_the_requests_that_failed_of_it(tmp_path: Path) -> None:
    """Of another device's failed request it says nothing."""

    class Ended(Fake):
        def ends(self) -> Iterator[Finding]:
            yield Finding("it ended by SIGABRT", 1)

    def refused(self: Handler) -> None:
        self._say(500, {"error": {"message": "x"}})

    with served(handler(do_POST=refused), handler(do_POST=refused)) as places:
        found = serving._asked(Ended(places), "cuda", tmp_path, 2, known(), {"requests": 1}, math.inf)
    assert found["reason"].count("a request failed") == 1
    assert "device 0 (GPU-0): a request failed" in found["reason"]
    assert "device 1 (GPU-1): it ended by SIGABRT" in found["reason"]
