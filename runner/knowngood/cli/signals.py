"""INT, TERM and HUP (a dropped ssh session) stop a run cleanly: the open step ends, the run can be resumed."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from knowngood.cli.terminal import say
from knowngood.ports.cancel import Cancel

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


RESUMABLE = "stopping; the run can be resumed"


@contextmanager
def stopped_by_signals(cancel: Cancel, told: str = RESUMABLE) -> Iterator[None]:
    """Set `cancel` on a signal for as long as the block lasts; `told` is said once."""

    def stop(number: int, frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if not cancel.is_set():
            with suppress(OSError):  # after a HUP there may be no terminal to tell
                say(f"{name}: {told}", err=True)
        cancel.set(name)

    before = {number: signal.signal(number, stop) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
