"""The inside of a payload's own process: it runs the payload and gives one answer to the process that watches it."""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from knowngood.probe.answer import MOST_WORDS, Answer, checked, unmeasured
from knowngood.probe.host import Host
from knowngood.probe.values import Object, Values

Payload = Callable[[Host, Values], Object]
BEFORE = 0.9
"""Share of its deadline after which a payload's process prints where it is: if it hangs, that is what it hangs in."""
UNREAD, MOST_UNREAD = "unreadFiles", 20
"""The figure that names what of the host could not be read, and how many files it names."""
_PR_SET_PDEATHSIG = 1


def run(payload: Payload, host: Host, params: Values, out: int, deadline: float) -> NoReturn:
    """Run the payload, write its answer as one JSON line to the descriptor `out`, and end."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)  # nothing of a probe outlives it
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(
            "1000", encoding="ascii"
        )  # before the process that watches
    faulthandler.enable()
    faulthandler.dump_traceback_later(deadline * BEFORE)
    try:
        found = _told(checked(payload(host, {**params, "deadline": deadline})), host)
    except MemoryError:
        found = unmeasured("", "out of memory")
    except Exception as error:  # noqa: BLE001 (whatever broke: it was not measured)
        found = unmeasured("", f"the payload broke: {type(error).__name__}: {error}"[:MOST_WORDS])
    with open(out, "wb") as pipe:
        pipe.write(json.dumps(found).encode() + b"\n")
    with contextlib.suppress(OSError, ValueError):
        sys.stdout.flush()
    os._exit(0)  # the teardown of CUDA or NCCL may hang or abort; the answer is given


def _told(found: Answer, host: Host) -> Answer:
    """The answer, with what of the host could not be read: what seems to be missing may be among it."""
    if not host.unread:
        return found
    unread = dict(sorted(host.unread.items())[:MOST_UNREAD])
    told = {**found, "measured": {**found["measured"], UNREAD: unread}}
    if found["ok"] is False:
        told = {
            **told,
            "ok": None,
            "reason": f"{host.why_unread()} ({found['reason']})"[:MOST_WORDS],
        }
    return told
