"""The process that runs one playbook: `python -m knowngood.adapters.processes.ansible_child`, under the supervisor.

Reads one JSON object from standard input (playbook, private_data_dir, extravars, envvars) and prints one a line:
{event: "task", name}, {event: "progress", node, text}, {event: "words", text}, {event: "result", task, failed, res},
last {event: "finish", rc, status}.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

from knowngood.model.values import Values

PROGRESS_PIPE = "progress"
PLUMBING = ("include_role", "validate_argument_spec")
"""What a playbook does before it does anything: nobody's progress."""
_printing = threading.Lock()


def say(**values: Any) -> None:
    """Print one event."""
    with _printing:
        sys.stdout.write(json.dumps(values, default=str) + "\n")
        sys.stdout.flush()


def heard(event: Values) -> bool:
    """Pass on what the runner needs of one of ansible-runner's events; True lets it keep the event's file."""
    kind, data = event.get("event"), event.get("event_data") or {}
    failed = str(kind).endswith(("failed", "unreachable")) and not data.get("ignore_errors")
    if str(data.get("task_action", "")).removeprefix("ansible.builtin.") in PLUMBING and not failed:
        return True
    if kind == "playbook_on_task_start":
        say(event="task", name=data.get("task"))
    elif kind in {"runner_on_ok", "runner_on_failed", "runner_on_unreachable", "runner_on_skipped"}:
        result = data.get("res") or {}
        keep = {key: result[key] for key in ("changed", "msg", "knowngood", "skipped") if key in result}
        say(event="result", task=data.get("task"), failed=failed, res=keep)
    elif kind in {"error", "warning", "deprecated"}:
        say(event="words", text=str(event.get("stdout", ""))[:2000])
    return True


def listen(pipe: Path) -> None:
    """Pass on what modules write into the named pipe. Opened for both ends, so it never reaches its end."""
    os.mkfifo(pipe, 0o600)
    stream = os.open(pipe, os.O_RDWR)

    def read() -> None:
        with os.fdopen(stream, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                try:
                    told = json.loads(line)
                    say(event="progress", node=str(told["node"]), text=str(told["text"]))
                except (ValueError, KeyError, TypeError):
                    continue

    threading.Thread(target=read, name="progress", daemon=True).start()


def main() -> int:
    """Run the playbook; the exit code is ansible's."""
    asked = json.load(sys.stdin)
    import ansible_runner  # noqa: PLC0415 (after stdin is read: nothing it prints can mix in)

    private = Path(asked["private_data_dir"])
    listen(private / PROGRESS_PIPE)
    ran = ansible_runner.run(
        private_data_dir=str(private),
        playbook=asked["playbook"],
        extravars=asked["extravars"],
        envvars=asked["envvars"],
        settings={"suppress_env_files": True},
        event_handler=heard,
        quiet=True,
    )
    say(event="finish", rc=ran.rc, status=ran.status)
    return int(ran.rc or 0)


if __name__ == "__main__":
    sys.exit(main())
