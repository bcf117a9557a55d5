"""What happened to nodes, as the oracle reads it: one JSON object a line in `events.jsonl`.

Events: booted, module-loaded and module-unloaded (whose `module` is nvidia, mlx5_core, nvidia_peermem, ...),
driver-pod-started, driver-pod-deleted, doca-pod-started, cordoned, uncordoned, tainted, untainted, pod-evicted,
job-ran, fault-hit, node-down, node-up, settled; of OLM install-plan, plan-approved, operator-installed,
operator-removed, definition-replaced; of pools config-desired, config-done, drain-failed; of health checks
power-cycled. Each has `time` (RFC 3339, UTC, microseconds), `node` ("" where none is meant) and `event`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Event = dict[str, Any]


def now() -> str:
    """The real time as RFC 3339 with microseconds; times are never scaled."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


class EventLog:
    """Appends to events.jsonl; a line is whole on disk before `write` returns to the caller."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8", buffering=1)
        self._listeners: list[Callable[[Event], None]] = []

    def listen(self, listener: Callable[[Event], None]) -> None:
        """Call `listener` with each event after it was written."""
        self._listeners.append(listener)

    def write(self, event: str, node: str = "", **values: Any) -> None:
        """Record one event."""
        record = {"time": now(), "node": node, "event": event, **values}
        self._file.write(json.dumps(record) + "\n")
        for listener in self._listeners:
            listener(record)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read(path: Path) -> Iterator[Event]:
    """Yield the events of a file; a torn last line (the twin is still writing) is left out."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if line.endswith("\n"):
                yield json.loads(line)
