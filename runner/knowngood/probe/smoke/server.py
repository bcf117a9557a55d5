"""A minimal server of ours with OpenAI's completions API, on one device: `-m knowngood.probe.smoke.server ORDER N`.

It answers greedily from a checkpoint, tokens in and tokens out (see completions.py). Requests that come at once take
turns token by token. It listens on the loopback alone, on a port that its record names.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from knowngood.probe.smoke import worker
from knowngood.probe.smoke.completions import END, PREFIX
from knowngood.probe.smoke.network import Size, network
from knowngood.probe.smoke.records import START, Notes
from knowngood.probe.values import Object, Values

Torch = Any
HOST, MODEL = "127.0.0.1", "knowngood-smoke"
MOST_BODY = 1 << 20
_DIES_WITH_PARENT = 1  # PR_SET_PDEATHSIG


class Model:
    """A checkpoint on a device, or (`wide`) in fp64 on the CPU."""

    def __init__(self, torch: Torch, checkpoint: Path, device: Any, *, wide: bool = False) -> None:
        self.torch, self.device = torch, device
        found = torch.load(checkpoint, map_location="cpu", weights_only=True)
        self.size = Size(**found["size"])
        self._model = network(torch, self.size, 0)
        self._model.load_state_dict(found["weights"])
        self._model = (self._model.double() if wide else self._model).to(device).eval()
        self._turn = threading.Lock()
        torch.backends.cuda.matmul.allow_tf32 = False

    def scores(self, tokens: Sequence[int]) -> list[float]:
        """The log-probabilities of the next token."""
        torch = self.torch
        with self._turn, torch.inference_mode():
            batch = torch.tensor([list(tokens)[-self.size.length :]], device=self.device)
            found: list[float] = self._model(batch)[0, -1].double().log_softmax(dim=-1).cpu().tolist()
        return found


def answer(model: Model, prompt: Sequence[int], most: int) -> Iterator[tuple[int, list[float], str]]:
    """Token after token: (token, all log-probabilities, finish: "" while it goes on)."""
    tokens = list(prompt)
    for number in range(most):
        scores = model.scores(tokens)
        token = max(range(len(scores)), key=scores.__getitem__)
        tokens.append(token)
        finish = "stop" if token == END else "length" if number == most - 1 else ""
        yield token, scores, finish
        if finish:
            return


def best(scores: Sequence[float], count: int) -> dict[int, float]:
    """The `count` best tokens and their log-probabilities."""
    order = sorted(range(len(scores)), key=scores.__getitem__, reverse=True)[:count]
    return {token: scores[token] for token in order}


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    model: Model

    def do_GET(self) -> None:
        """List the one model."""
        if self.path != "/v1/models":
            self._say(404, {"error": {"message": "not found"}})
            return
        self._say(
            200, {"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "knowngood"}]}
        )

    def do_POST(self) -> None:
        """Complete a prompt."""
        if self.path != "/v1/completions":
            self._say(404, {"error": {"message": "not found"}})
            return
        try:
            asked = _checked(json.loads(self.rfile.read(self._length())), self.model.size)
        except (ValueError, KeyError, TypeError) as error:
            self._say(400, {"error": {"message": str(error)[:200], "type": "invalid_request_error"}})
            return
        self._stream(asked) if asked.get("stream") else self._whole(asked)

    def _length(self) -> int:
        count = int(self.headers.get("Content-Length", 0))
        if not 0 < count <= MOST_BODY:
            raise ValueError(f"a body of {count} bytes")
        return count

    def _whole(self, asked: Values) -> None:
        said = list(answer(self.model, asked["prompt"], asked["max_tokens"]))
        choice = _choice(
            [(t, best(s, asked["logprobs"])) for t, s, _ in said], said[-1][2] if said else "length"
        )
        self._say(200, {**_head(), "choices": [choice], "usage": _usage(asked["prompt"], len(said))})

    def _stream(self, asked: Values) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        count = 0
        try:
            for token, scores, finish in answer(self.model, asked["prompt"], asked["max_tokens"]):
                count += 1
                choice = _choice([(token, best(scores, asked["logprobs"]))], finish or None)
                self._event({**_head(), "choices": [choice]})
        except RuntimeError as error:  # torch's, with what the device said
            self._event(
                {"error": {"message": f"{type(error).__name__}: {error}"[:300], "type": "server_error"}}
            )
            return
        self._event({**_head(), "choices": [], "usage": _usage(asked["prompt"], count)})
        self.wfile.write(b"data: [DONE]\n\n")

    def _event(self, event: Values) -> None:
        self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
        self.wfile.flush()

    def _say(self, code: int, found: Values) -> None:
        body = json.dumps(found).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nothing: a line a request would be the container's whole log."""


def _checked(asked: Any, size: Size) -> Object:
    prompt = asked["prompt"]
    if not isinstance(prompt, list) or not prompt or not all(isinstance(t, int) for t in prompt):
        raise ValueError("prompt: a list of token numbers")
    if not all(0 <= t < size.vocabulary for t in prompt):
        raise ValueError(f"prompt: tokens are 0 to {size.vocabulary - 1}")
    most, top = int(asked.get("max_tokens", 16)), int(asked.get("logprobs") or 0)
    if not 0 < most <= 4096 or not 0 <= top <= 20:
        raise ValueError("max_tokens: 1 to 4096; logprobs: 0 to 20")
    if asked.get("temperature", 0) != 0:
        raise ValueError("temperature: 0 alone")
    return {"prompt": prompt, "max_tokens": most, "logprobs": top, "stream": bool(asked.get("stream"))}


def _head() -> Object:
    return {"id": "cmpl-knowngood", "object": "text_completion", "created": 0, "model": MODEL}


def _choice(said: Sequence[tuple[int, Mapping[int, float]]], finish: str | None) -> Object:
    logprobs = {
        "tokens": [f"{PREFIX}{token}" for token, _ in said],
        "token_logprobs": [top.get(token) for token, top in said],
        "top_logprobs": [{f"{PREFIX}{t}": p for t, p in top.items()} for _, top in said],
        "text_offset": [0] * len(said),
    }
    return {"index": 0, "text": "", "finish_reason": finish, "logprobs": logprobs}


def _usage(prompt: Sequence[int], count: int) -> dict[str, int]:
    return {"prompt_tokens": len(prompt), "completion_tokens": count, "total_tokens": len(prompt) + count}


def main(argv: list[str]) -> None:
    """Load, listen, say where, and serve until the parent ends. What breaks is written down before it is raised."""
    ctypes.CDLL(None).prctl(_DIES_WITH_PARENT, signal.SIGKILL)
    order = json.loads(Path(argv[0]).read_text(encoding="utf-8"))
    number = int(argv[1])
    with Notes(Path(order["folder"]), number) as notes:
        try:
            notes.at(START)
            torch = importlib.import_module("torch")
            device = worker.device_of(torch, number, order["backend"])
            notes.say("identity", **worker.described(torch, device, number))
            Handler.model = Model(torch, Path(order["checkpoint"]), device)
            with ThreadingHTTPServer((HOST, 0), Handler) as server:
                server.daemon_threads = True
                notes.at("serving")
                notes.say("serving", port=server.server_address[1])
                server.serve_forever()
        except BaseException as error:
            notes.say("error", type=type(error).__name__, words=str(error)[:1000])
            raise


if __name__ == "__main__":
    main(sys.argv[1:])
