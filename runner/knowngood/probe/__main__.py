"""`python -m knowngood.probe run rdma training inference --root /host --params '{"gpus": 8}'`.

Prints one JSON document on the last line of stdout: {schema, node, bootId, results: {payload: {ok, backend,
reason, measured}}}. Exit status 0 whenever the document was printed, whatever it says.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from knowngood.probe import inference, load, rdma, training
from knowngood.probe.host import Host

LONGEST_ANSWER = 4096
"""Bytes: what Kubernetes keeps of a container's termination message."""
Payload = Callable[[Host, Mapping[str, Any]], dict[str, Any]]
PAYLOADS: dict[str, Payload] = {"rdma": rdma.run, "training": training.run, "inference": inference.run}


def document(host: Host, payloads: list[str], params: Mapping[str, Any]) -> dict[str, Any]:
    """Run the payloads one after another; one that breaks is `ok: false` with its error as the reason."""
    results = {}
    for name in payloads:
        started = time.monotonic()
        try:
            result = PAYLOADS[name](host, params)
        except Exception as error:  # noqa: BLE001 (whatever broke, the document must be printed)
            words = f"{type(error).__name__}: {error}"[:500]
            result = {"ok": False, "backend": "", "reason": f"the payload broke: {words}", "measured": {}}
        result["measured"]["seconds"] = round(time.monotonic() - started, 4)
        results[name] = result
    node = os.environ.get("NODE_NAME") or host.text("etc/hostname") or ""
    return {"schema": 1, "node": node, "bootId": host.boot_id(), "results": results}


def main(argv: list[str] | None = None) -> int:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m knowngood.probe", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="run payloads and print one JSON document")
    run.add_argument("payloads", nargs="+", choices=sorted(PAYLOADS))
    run.add_argument("--root", default="/", help="where the host's root is mounted (default: /)")
    run.add_argument("--params", default="{}", help="the payloads' parameters as a JSON object")
    run.add_argument("--answer", type=Path, help="a file that gets the document, too, if it is short")
    burn = verbs.add_parser("load", help="compute on the given GPUs, and print one JSON document")
    burn.add_argument("--seconds", type=float, required=True, help="for how long")
    options = parser.parse_args(argv)
    if options.verb == "load":
        return _load(options.seconds)
    try:
        params = json.loads(options.params)
    except ValueError as error:
        parser.error(f"--params: {error}")
    if not isinstance(params, dict):
        parser.error("--params: not a JSON object")
    answer = document(Host(Path(options.root)), list(options.payloads), params)
    _print(answer)
    if options.answer is not None:
        _leave(options.answer, _text(answer))
    return 0


def _leave(path: Path, text: str) -> None:
    """Leave the document where the kubelet takes a container's last words from; what is cut there is no document."""
    with contextlib.suppress(OSError):  # the log has it
        if len(text.encode()) <= LONGEST_ANSWER:
            path.write_text(text, encoding="utf-8")


def _load(seconds: float) -> int:
    """Exit status 1 where it could not compute: the pod then says that it failed."""
    result = load.run(seconds)
    _print({"schema": 1, "node": os.environ.get("NODE_NAME", ""), "results": {"load": result}})
    return 0 if result["ok"] else 1


def _text(answer: Mapping[str, Any]) -> str:
    return json.dumps(answer, sort_keys=True, separators=(",", ":")) + "\n"


def _print(answer: Mapping[str, Any]) -> None:
    sys.stdout.write(_text(answer))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
