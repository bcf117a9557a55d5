"""The part of OpenAI's completions API that the smoke inference speaks, seen from the client; and answers judged. Pure.

Tokens go as numbers: a prompt is a list of them, and logprobs name them `token_id:N`, which is what vLLM says with
`return_tokens_as_token_ids`. So no tokenizer stands between two servers that are compared.
"""

from __future__ import annotations

import http.client
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from knowngood.probe.values import Values

TOP = 5
PREFIX = "token_id:"
END = 0
"""The token that ends a text: a server stops there, and says `stop`."""


@dataclass(frozen=True)
class Endpoint:
    """Where one device answers."""

    device: str
    host: str
    port: int
    model: str


@dataclass(frozen=True)
class Expected:
    """The answer to a prompt by the CPU in fp64, where at most `most` tokens are asked for.

    `top`: for each token the TOP best and their log-probabilities.
    """

    prompt: tuple[int, ...]
    tokens: tuple[int, ...]
    finish: str
    top: tuple[Mapping[int, float], ...]
    most: int


@dataclass
class Answered:
    """What a server answered, and when: seconds to the first token, and between tokens."""

    tokens: list[int] = field(default_factory=list)
    top: list[dict[int, float]] = field(default_factory=list)
    finish: str = ""
    prompt_tokens: int = -1
    completion_tokens: int = -1
    first: float = math.nan
    gaps: list[float] = field(default_factory=list)


class Failed(Exception):
    """The server gave no answer that can be read; the message says what it gave."""


def ask(where: Endpoint, prompt: Sequence[int], most: int, patience: float) -> Answered:
    """Stream one completion, greedily. Raises Failed; `patience`: seconds without any word from the server."""
    body = {
        "model": where.model,
        "prompt": list(prompt),
        "max_tokens": most,
        "temperature": 0,
        "logprobs": TOP,
        "stream": True,
        "stream_options": {"include_usage": True},
        "return_tokens_as_token_ids": True,
    }
    link = http.client.HTTPConnection(where.host, where.port, timeout=patience)
    began = time.perf_counter()
    try:
        link.request("POST", "/v1/completions", json.dumps(body), {"Content-Type": "application/json"})
        response = link.getresponse()
        if response.status != 200:
            raise Failed(f"HTTP {response.status}: {response.read(300).decode('utf-8', 'replace')}")
        return _streamed(response, began)
    except TimeoutError as error:
        raise Failed(f"no word for {patience:.0f} s") from error
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as error:
        raise Failed(f"{type(error).__name__}: {error}"[:300]) from error
    finally:
        link.close()


def _streamed(response: http.client.HTTPResponse, began: float) -> Answered:
    """Read server-sent events until `[DONE]`."""
    found, last = Answered(), began
    for raw in response:
        line = raw.decode("utf-8").strip()
        if not line.startswith("data:"):
            continue
        data = line[len("data:") :].strip()
        if data == "[DONE]":
            return found
        event = json.loads(data)
        now = time.perf_counter()
        if _take(found, event):
            if math.isnan(found.first):
                found.first = now - began
            else:
                found.gaps.append(now - last)
            last = now
    raise Failed(f"the stream ended after {len(found.tokens)} tokens without [DONE]")


def _take(found: Answered, event: Values) -> bool:
    """Add what an event says; whether it brought a token. Raises Failed where it says an error."""
    if error := event.get("error"):
        raise Failed(str(error.get("message", error) if isinstance(error, Mapping) else error)[:300])
    if usage := event.get("usage"):
        found.prompt_tokens, found.completion_tokens = (
            int(usage["prompt_tokens"]),
            int(usage["completion_tokens"]),
        )
    brought = False
    for choice in event.get("choices") or ():
        found.finish = choice.get("finish_reason") or found.finish
        logprobs = choice.get("logprobs") or {}
        for token, top in zip(logprobs.get("tokens") or (), logprobs.get("top_logprobs") or ()):  # noqa: B905 (3.9)
            found.tokens.append(number(token))
            found.top.append({number(t): float(p) for t, p in top.items()})
            brought = True
    return brought


def number(token: str) -> int:
    """The number of a token's name. ValueError where it has another form."""
    if not token.startswith(PREFIX):
        raise ValueError(f"not a token's number: {token[:40]!r}")
    return int(token[len(PREFIX) :])


def wrong(got: Answered, wanted: Expected, tolerance: float) -> str:
    """What is wrong with an answer, in words; "" for nothing. `tolerance`: of a log-probability."""
    if tuple(got.tokens) != wanted.tokens:
        both = min(len(got.tokens), len(wanted.tokens))  # where one of them ends
        at = next((i for i in range(both) if got.tokens[i] != wanted.tokens[i]), both)
        return f"token {at} is {_at(got.tokens, at)}, the CPU's is {_at(wanted.tokens, at)}"
    if got.finish != wanted.finish:
        return f"it finished by {got.finish or 'nothing'!r}, not by {wanted.finish!r}"
    counts = (got.prompt_tokens, got.completion_tokens)
    if counts != (len(wanted.prompt), len(wanted.tokens)):
        return f"it counts {counts[0]} and {counts[1]} tokens, there were {len(wanted.prompt)} and {len(wanted.tokens)}"
    for at, (mine, theirs) in enumerate(zip(got.top, wanted.top)):  # noqa: B905
        for token, value in theirs.items():
            # The last of the best may change places with the next one, which no side names.
            off = abs(mine.get(token, min(mine.values(), default=-math.inf)) - value)
            if not off <= tolerance:
                return (
                    f"the log-probability of token {token} at {at} is off by {off:.1e}, {tolerance:g} at most"
                )
    return ""


def _at(tokens: Sequence[int], at: int) -> str:
    return str(tokens[at]) if at < len(tokens) else "missing"
