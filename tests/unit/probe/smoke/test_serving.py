"""The smoke inference against servers on the loopback: healthy ones pass, each sabotage names its device."""

from __future__ import annotations

import dataclasses
import http.client
import json
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from knowngood.probe.answer import percentile
from knowngood.probe.smoke import lesson, serving
from knowngood.probe.smoke.asking import Load
from knowngood.probe.smoke.by_value import Finding
from knowngood.probe.smoke.completions import Answered, Endpoint, Expected, Failed, ask, wrong
from knowngood.probe.smoke.network import Size
from knowngood.probe.smoke.server import HOST, MODEL, Handler

SIZE = Size(vocabulary=16, length=40)


class Counting:
    """A model that counts upwards by the step of its last two tokens, and is sure of it; no torch."""

    size = SIZE

    def __init__(self, change: Callable[[list[float]], list[float]] = lambda scores: scores) -> None:
        self._change = change

    def scores(self, tokens: Sequence[int]) -> list[float]:
        meant = (2 * tokens[-1] - tokens[-2]) % SIZE.vocabulary
        raw = [-abs(meant - t) * 2.0 for t in range(SIZE.vocabulary)]
        total = math.log(sum(map(math.exp, raw)))
        return self._change([x - total for x in raw])


def known() -> list[Expected]:
    found = [lesson.known(Counting(), prompt) for prompt in ((1, 2), (2, 4), (5, 5))]  # type: ignore[arg-type]
    assert all(found)
    return [e for e in found if e]


@contextmanager
def served(*handlers: type[Handler]) -> Iterator[list[Endpoint]]:
    """A server for each handler; devices are called GPU-0 and on."""
    with ExitStack() as stack:
        places = []
        for number, handler in enumerate(handlers):
            server = stack.enter_context(ThreadingHTTPServer((HOST, 0), handler))
            server.daemon_threads, server.block_on_close = True, False
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
            stack.callback(server.shutdown)
            places.append(Endpoint(f"GPU-{number}", HOST, server.server_address[1], MODEL))
        yield places


def handler(model: Counting | None = None, **methods: Any) -> type[Handler]:
    return type("Sabotaged", (Handler,), {"model": model or Counting(), **methods})


def asked(
    *handlers: type[Handler], until: float = math.inf, **params: Any
) -> tuple[list[Finding], dict[str, Any]]:
    with served(*handlers) as places:
        load = Load(
            places, known(), 1e-3, {"requests": 12, "concurrency": 4, "patience": 60.0, **params}, until
        )
        load.run()
        return list(load.findings()), load.figures()


def test_a_healthy_server_is_right_and_its_times_are_measured() -> None:
    found, figures = asked(handler(), handler())
    assert found == []
    assert (figures["requests"], figures["concurrency"], len(figures["rankTokensPerSecond"])) == (12, 4, 2)
    assert 0 < figures["firstTokenP50Ms"] <= figures["firstTokenP99Ms"]
    assert 0 < figures["nextTokenP50Ms"] <= figures["nextTokenP99Ms"]


def test_answers_end_by_both_reasons() -> None:
    assert {e.finish for e in known()} == {"stop", "length"}
    assert [len(e.tokens) for e in known()] == [14, 6, lesson.MOST]


def other_events(change: Callable[[dict[str, Any]], dict[str, Any]]) -> type[Handler]:
    def event(self: Handler, said: dict[str, Any]) -> None:
        Handler._event(self, change(json.loads(json.dumps(said))))

    return handler(_event=event)


def finish(said: dict[str, Any]) -> dict[str, Any]:
    for choice in said["choices"]:
        choice["finish_reason"] = choice["finish_reason"] and "length"
    return said


def usage(said: dict[str, Any]) -> dict[str, Any]:
    if "usage" in said:
        said["usage"]["completion_tokens"] += 1
    return said


def failing_after(count: int) -> type[Handler]:
    calls = iter(range(10_000))

    def post(self: Handler) -> None:
        if next(calls) >= count:
            self._say(500, {"error": {"message": "CUDA error: unspecified launch failure"}})
        else:
            Handler.do_POST(self)

    return handler(do_POST=post)


def hanging(self: Handler, said: dict[str, Any]) -> None:
    if "usage" in said:
        threading.Event().wait()  # for ever: its thread ends with the process
    Handler._event(self, said)


def cut(self: Handler, _said: dict[str, Any]) -> None:
    self.wfile.flush()
    self.connection.shutdown(1)
    raise ConnectionAbortedError


def no_tokens(said: dict[str, Any]) -> dict[str, Any]:
    for choice in said["choices"]:
        choice["logprobs"]["tokens"] = ["the"] * len(choice["logprobs"]["tokens"])
    return said


SABOTAGE: dict[str, tuple[type[Handler], str]] = {
    "another token": (handler(Counting(lambda s: [*s[1:], s[0]])), "token 0 is 2, the CPU's is 3"),
    "5e-3 in the scores": (
        handler(Counting(lambda s: [x * 1.005 for x in s])),
        "the log-probability of token",
    ),
    "not a number": (
        handler(Counting(lambda s: [x if x > -1 else math.nan for x in s])),
        "token 0 is 0, the CPU's is 3",
    ),
    "another finish": (other_events(finish), "it finished by 'length', not by 'stop'"),
    "a wrong count": (other_events(usage), "it counts 2 and 15 tokens, there were 2 and 14"),
    "an error under load": (failing_after(5), "a request failed: HTTP 500"),
    "an error at once": (failing_after(0), "CUDA error"),
    "a hang": (handler(_event=hanging), "a request failed: no word for 4 s"),
    "a cut stream": (handler(_event=cut), "a request failed: "),
    "names in place of tokens": (
        other_events(no_tokens),
        "a request failed: ValueError: not a token's number",
    ),
}


@pytest.mark.parametrize("name", SABOTAGE)
def test_each_sabotage_is_told_of_its_device_alone(name: str) -> None:
    spoiled, words = SABOTAGE[name]
    spoiled.handle_error = lambda *_: None  # type: ignore[attr-defined]
    patience = {"patience": 4.0} if name == "a hang" else {}
    found, _ = asked(handler(), spoiled, **patience)
    assert [(f.rank, f.ok) for f in found] == [(1, False)]
    assert words in found[0].words


def breaking(words: str) -> type[Handler]:
    class Breaking(Counting):
        def scores(self, tokens: Sequence[int]) -> list[float]:
            if len(tokens) > 4:
                raise RuntimeError(words)
            return super().scores(tokens)

    return handler(Breaking())


@pytest.mark.parametrize(
    ("words", "ok"),
    [("CUDA error: unspecified launch failure", False), ("CUDA out of memory. Tried 2 GiB", None)],
)
def test_what_a_device_says_while_it_answers_is_told(words: str, ok: bool | None) -> None:
    found, _ = asked(handler(), breaking(words))
    assert [(f.rank, f.ok) for f in found] == [(1, ok)]
    assert words in found[0].words


def test_what_could_not_be_asked_in_time_is_not_measured() -> None:
    found, figures = asked(handler(), until=0.0)
    assert [(f.rank, f.ok) for f in found] == [(0, None)]
    assert figures == {}


def test_a_whole_answer_and_what_is_refused() -> None:
    """What other clients of the API would ask."""
    with served(handler()) as (place,):
        link = http.client.HTTPConnection(place.host, place.port, timeout=5)

        def post(body: Any) -> tuple[int, dict[str, Any]]:
            link.request("POST", "/v1/completions", json.dumps(body))
            response = link.getresponse()
            return response.status, json.loads(response.read())

        status, said = post({"model": MODEL, "prompt": [1, 2], "max_tokens": 3, "logprobs": 2})
        assert status == 200
        assert said["choices"][0]["logprobs"]["tokens"] == ["token_id:3", "token_id:4", "token_id:5"]
        assert (said["choices"][0]["finish_reason"], said["usage"]["total_tokens"]) == ("length", 5)
        refused: tuple[Any, ...] = ({"prompt": "text"}, {"prompt": [99]}, {"prompt": []}, [])
        for body in (*refused, {"prompt": [1], "max_tokens": 0}, {"prompt": [1], "temperature": 1}):
            assert post(body)[0] == 400
        link.request("GET", "/v1/models")
        assert json.loads(link.getresponse().read())["data"][0]["id"] == MODEL
        link.close()


def test_nobody_there_is_a_failed_request() -> None:
    with served(handler()) as places:
        pass
    with pytest.raises(Failed):
        ask(places[0], [1, 2], 3, 0.2)


def test_a_place_among_the_best_may_change_with_the_next_one() -> None:
    """The fifth and the sixth best are alike: the two sides name either."""
    wanted = dataclasses.replace(known()[0], tokens=(3,), top=({3: -0.1, 4: -4.0},), finish="length")
    got = Answered([3], [{3: -0.1, 2: -4.0}], "length", 2, 1)
    assert wrong(got, wanted, 1e-3) == ""
    assert "token 4 at 0 is off by" in wrong(
        Answered([3], [{3: -0.1, 2: -3.0}], "length", 2, 1), wanted, 1e-3
    )
    assert wrong(Answered([3], [{}], "length", 2, 1), wanted, 1e-3)


class Fake(serving.Serving):
    """A server that is started elsewhere, as another driver of the port would be."""

    by, tolerance = "another", 1e-3

    def __init__(self, places: list[Endpoint], ends: Sequence[Finding] = ()) -> None:
        self._places, self._ends = places, ends

    def start(self, checkpoint: Path, folder: Path, devices: int, until: float) -> list[Endpoint]:
        return self._places

    def ends(self) -> Iterator[Finding]:
        yield from self._ends

    def stop(self) -> None:
        return


def test_the_evidence_says_who_served(tmp_path: Path) -> None:
    with served(handler(), handler()) as places:
        found = serving._asked(Fake(places), "cuda", tmp_path, 2, known(), {"requests": 4}, math.inf)
    assert (found["ok"], found["backend"], found["measured"]["server"]) == (True, "cuda", "another")


@pytest.mark.parametrize(
    ("ends", "ok", "words"),
    [
        ((), None, "1 of 2 servers did not start in time"),
        ((Finding("out of memory", 1, ok=None),), None, "out of memory"),
        ((Finding("it ended by SIGABRT", 1),), False, "it ended by SIGABRT"),
    ],
)
def test_a_server_that_does_not_start(
    tmp_path: Path, ends: Sequence[Finding], ok: bool | None, words: str
) -> None:
    with served(handler()) as places:
        found = serving._asked(Fake(places, ends), "cuda", tmp_path, 2, known(), {}, math.inf)
    assert (found["ok"], words in found["reason"]) == (ok, True)


def test_percentiles() -> None:
    assert (percentile([], 99), percentile([3, 1, 2], 50), percentile(range(100), 99)) == (0.0, 2, 99)


def test_a_server_that_counts_no_tokens_is_told_apart_from_one_that_counts_others() -> None:
    def silent(said: dict[str, Any]) -> dict[str, Any]:
        return {k: v for k, v in said.items() if k != "usage"}

    found, _ = asked(other_events(silent))
    assert [f.words for f in found] == ["it counts -1 and -1 tokens, there were 2 and 14"]


@pytest.mark.parametrize(("apart", "asked_for"), [(0.5, True), (0.49, False)])
def test_a_prompt_is_asked_only_where_no_other_answer_is_near(apart: float, asked_for: bool) -> None:
    """Half a unit of log-probability: another server may take the other one of two that are alike."""

    class Torn(Counting):
        def scores(self, tokens: Sequence[int]) -> list[float]:
            return [0.0, -apart, *[-9.0] * (SIZE.vocabulary - 2)]

    assert (lesson.known(Torn(), (1, 2)) is not None) is asked_for  # type: ignore[arg-type]


def test_a_tolerance_may_be_used_up() -> None:
    wanted = dataclasses.replace(known()[0], tokens=(3,), top=({3: -0.5},), finish="length")
    assert wrong(Answered([3], [{3: -0.75}], "length", 2, 1), wanted, 0.25) == ""
    assert "off by 2.6e-01" in wrong(Answered([3], [{3: -0.76}], "length", 2, 1), wanted, 0.25)


def test_only_an_event_that_brings_a_token_ends_a_wait_for_one() -> None:
    with served(handler()) as places:
        got = ask(places[0], (1, 2), lesson.MOST, 30.0)
    assert (len(got.tokens), len(got.gaps)) == (14, 13), "the counts at the end are no token"
    assert got.first > 0


def test_the_times_are_those_of_the_middle_and_of_the_last_hundredth() -> None:
    load = Load([Endpoint("GPU-0", HOST, 1, MODEL)], known(), 1e-3, {}, math.inf)
    answers = [Answered(tokens=[1, 2], finish="stop", first=n / 1000, gaps=[n / 500]) for n in range(200)]
    load._took[0], load._seconds[0] = answers, 4.0
    figures = load.figures()
    assert (figures["requestsPerSecond"], figures["tokensPerSecond"]) == (50.0, 100.0)
    assert (figures["firstTokenP50Ms"], figures["firstTokenP99Ms"]) == (100.0, 198.0)
    assert (figures["nextTokenP50Ms"], figures["nextTokenP99Ms"]) == (200.0, 396.0)
    assert (figures["requests"], figures["concurrency"]) == (64, 8), "where the profile says nothing"
    least = Load([], known(), 1e-3, {"requests": 0, "concurrency": 0}, math.inf)
    assert (least._each, least._at_once) == (1, 1)


@pytest.mark.parametrize(
    ("given", "backend"), [({"backend": "cpu"}, "cpu"), ({}, "cuda"), ({"backend": "cuda"}, "cuda")]
)
def test_gpus_are_counted_before_anything_is_trained(
    given: dict[str, Any], backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Torch:
        class cuda:  # noqa: N801 (torch's name)
            device_count = staticmethod(lambda: 1)

    monkeypatch.setattr(serving, "trained", lambda *_: None)
    monkeypatch.setattr(serving, "expected", lambda *_: [])
    found = serving.run(Torch, 2, given)
    assert (found["backend"], found["ok"]) == (backend, None if backend == "cpu" else False)
    assert ("learned too little" if backend == "cpu" else "torch sees 1 GPUs") in found["reason"]
