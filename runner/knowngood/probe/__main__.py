"""`python -m knowngood.probe run rdma training inference --root /host --params '{"gpus": 8}'`.

Prints one JSON document a payload, a line each, as soon as it is known: {schema, node, bootId, results: {payload:
{ok, backend, reason, measured}}}. `ok` is true, false, or null where it could not be measured. Payloads run in the
given order, so the first without a document is the one that ran when the probe was killed. Exit status 0: all was read
and measured, whatever it says; 3: something was not.

`python -m knowngood.probe inventory` prints what this image brings, as one JSON document.
`python -m knowngood.probe kernel-log --file F` prints a kernel log's errors as JSON lines: see kernel_log/command.py.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from types import FrameType

from knowngood.probe import child, isolation
from knowngood.probe.child import Payload
from knowngood.probe.host import Host
from knowngood.probe.values import Object, Values

LONGEST_ANSWER = 4096
"""Bytes: what Kubernetes keeps of a container's termination message."""
DEADLINE = 300.0
"""Seconds for each payload, unless told otherwise."""
UNMEASURED = 3
PAYLOADS = {"rdma": "rdma", "training": "training", "inference": "inference", "fabric": "fabric.payload"}
"""A payload's name -> its module in this package.

Only the process that runs it imports it, and each verb what it needs: on a busy node it takes longer to import all of
them, and to compile the kernel log's patterns, than to run most payloads.
"""


def main(argv: list[str] | None = None) -> int:
    """Parse, run, print."""
    options = _parser().parse_args(argv)
    if options.verb == "kernel-log":
        from knowngood.probe.kernel_log import command as kernel_log  # noqa: PLC0415 (as for PAYLOADS)

        return kernel_log.run(options.file, sys.stdout.write, grep=not options.no_grep)
    if options.verb == "inventory":
        from knowngood.probe.inventory import inventory  # noqa: PLC0415 (as for PAYLOADS)

        _print({"schema": 1, "inventory": inventory()})
        return 0
    if options.verb == "load":
        return _load(options.seconds)
    if options.verb == "payload":
        run = _payload(options.payload)
        child.run(run, Host(options.root), options.params, options.out, options.deadline)
    signal.signal(signal.SIGTERM, _interrupted)
    return _Documents(options).run()


def _payload(name: str) -> Payload:
    run: Payload = importlib.import_module(f"knowngood.probe.{PAYLOADS[name]}").run
    return run


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m knowngood.probe", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    run = verbs.add_parser("run", help="run payloads, each in a process of its own, and print JSON documents")
    run.add_argument("payloads", nargs="+", choices=sorted(PAYLOADS))
    run.add_argument("--answer", type=Path, help="a file that gets the documents, too, if they are short")
    one = verbs.add_parser("payload", help="what `run` starts: one payload, which answers on a descriptor")
    one.add_argument("payload", choices=sorted(PAYLOADS))
    for verb in (run, one):
        verb.add_argument(
            "--root", type=Path, default=Path("/"), help="where the host's root is (default: /)"
        )
        verb.add_argument(
            "--params", type=_object, default={}, help="the payloads' parameters, a JSON object"
        )
        verb.add_argument("--deadline", type=_seconds, default=DEADLINE, help="seconds for each payload")
    one.add_argument("out", type=int, help="the descriptor for the answer")
    burn = verbs.add_parser("load", help="compute on the given GPUs, and print one JSON document")
    burn.add_argument("--seconds", type=float, required=True, help="for how long")
    verbs.add_parser("inventory", help="print what this image brings")
    log = verbs.add_parser("kernel-log", help="print the errors of a kernel log as JSON lines")
    log.add_argument("--file", type=Path, required=True, help="the log; exit status 3 where it can't be read")
    log.add_argument("--no-grep", action="store_true", help="search it without the help of grep")
    return parser


class _Documents:
    """The payloads one after another, and what is printed of them."""

    def __init__(self, options: argparse.Namespace) -> None:
        host = Host(options.root)
        node = os.environ.get("NODE_NAME") or host.text("etc/hostname") or ""
        self._options = options
        self._head = {"schema": 1, "node": node, "bootId": host.boot_id()}
        self._measured = not host.unread
        self._kept = b""

    def run(self) -> int:
        """Run all; the exit status."""
        for name in dict.fromkeys(self._options.payloads):
            started = time.monotonic()
            result = isolation.run(self._command(name), name, self._options.deadline, _log)
            result["measured"]["seconds"] = round(time.monotonic() - started, 4)
            self._measured &= result["ok"] is not None and child.UNREAD not in result["measured"]
            self._say({**self._head, "results": {name: result}})
        return 0 if self._measured else UNMEASURED

    def _command(self, name: str) -> list[str]:
        options = self._options
        return [
            *(sys.executable, *_flags(), "-m", "knowngood.probe", "payload", "--root", str(options.root)),
            *("--params", json.dumps(options.params), "--deadline", str(options.deadline), name),
        ]

    def _say(self, document: Values) -> None:
        """Print it, and leave it where the kubelet takes a container's last words from; what is cut there is none."""
        _print(document)
        if self._options.answer is None:
            return
        self._kept += _text(document).encode()
        with contextlib.suppress(OSError):  # the log has it
            self._options.answer.write_bytes(self._kept if len(self._kept) <= LONGEST_ANSWER else b"")


def _flags() -> list[str]:
    """Our own interpreter's: a child sees the modules that we see."""
    return ["-S"] if sys.flags.no_site else []


def _object(text: str) -> Object:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError("not a JSON object")
    return found


def _seconds(text: str) -> float:
    found = float(text)
    if not 0 < found < 1e6:
        raise argparse.ArgumentTypeError("not a number of seconds")
    return found


def _interrupted(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM: the payload that runs is ended, then we are."""
    raise SystemExit(128 + signal.SIGTERM)


def _load(seconds: float) -> int:
    """Exit status 1 where it could not compute: the pod then says that it failed."""
    from knowngood.probe import load  # noqa: PLC0415 (as for PAYLOADS)

    result = load.run(seconds)
    _print({"schema": 1, "node": os.environ.get("NODE_NAME", ""), "results": {"load": result}})
    return 0 if result["ok"] else 1


def _log(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _text(document: Values) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":")) + "\n"


def _print(document: Values) -> None:
    sys.stdout.write(_text(document))
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
