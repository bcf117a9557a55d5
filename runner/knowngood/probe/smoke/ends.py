"""How a rank ended, and what that says: of the node, of what was around it, or only of another rank's end. Pure."""

from __future__ import annotations

import signal
from collections.abc import Collection, Iterator, Mapping, Sequence

from knowngood.probe.smoke.backend import TOO_NEW
from knowngood.probe.smoke.by_value import Finding
from knowngood.probe.smoke.launch import Ending
from knowngood.probe.smoke.records import FIRST_USE, START, Rank

NO_ROOM = {
    "outofmemoryerror": "out of memory",
    "memoryerror": "out of memory",
    "out of memory": "out of memory",  # torch.OutOfMemoryError; cudaErrorMemoryAllocation (2)
    "can't allocate memory": "out of memory",  # torch's CPU allocator
    "cannot allocate memory": "out of memory",  # ENOMEM
    "no space left on device": "no space left (/dev/shm, or the temporary folder)",  # ENOSPC; NCCL's shared memory
    "shared memory": "no shared memory (/dev/shm)",
    "bus error": "no shared memory (/dev/shm)",
}
"""What was missing around the payload: another image or Job would have had it, so it says nothing of the node."""
OF_OTHERS = (
    "connection closed by peer",  # gloo
    "connection reset by peer",
    "broken pipe",
    "timed out waiting",
    "remote process exited",  # NCCL
    "remote error",
    "watchdog",
)
"""How a rank ends because another one did."""
ALONE = (FIRST_USE, "products", "memory")
"""Where a rank works by itself; "products, fp32" is such a stage, too."""
OF_DEVICES = ("cuda", "cublas", "cudnn", "nccl", "uncorrectable", "device-side", "gpu")
"""What an error of a device or between devices speaks of. Any other one is the payload's, or its library's."""


def ended(ranks: Sequence[Rank], ending: Ending) -> Iterator[Finding]:
    """What the ranks' ends say, of each rank that ended by itself; where none did, of those that ended with others."""
    own, others = [], []
    for rank in ranks:
        if finding := _of_signal(rank, ending.codes.get(rank.number, 0), ending) or _of_error(rank):
            own.append(finding)
        elif words := str(rank.last("error").get("words", "")):
            others.append(Finding(f"it lost the other ranks: {words[:300]}", rank.number, ok=None))
    yield from own or others


def _of_signal(rank: Rank, code: int, ending: Ending) -> Finding | None:
    if code >= 0 or -code == signal.SIGTERM:  # torchrun ends the others so
        return None
    number = rank.number
    name = signal.Signals(-code).name if -code in signal.valid_signals() else f"signal {-code}"
    where = f"at {rank.stage}" if rank.stage else "before it began"
    if -code == signal.SIGBUS:
        return Finding(f"it ended by SIGBUS {where}: no shared memory (/dev/shm)?", number, ok=None)
    if -code == signal.SIGKILL:
        why = "the kernel killed it for memory" if ending.oom_kills else "somebody killed it"
        return Finding(f"{why} (SIGKILL) {where}", number, ok=None)
    return Finding(f"it ended by {name} {where}", number)


def _of_error(rank: Rank) -> Finding | None:
    said: Mapping[str, object] = rank.last("error")
    kind, words = str(said.get("type", "")), str(said.get("words", ""))
    low = words.lower()
    if not kind or (any(phrase in low for phrase in OF_OTHERS) and kind != "OutOfMemoryError"):
        return None
    where = f" at {rank.stage}" if rank.stage else ""
    told = f"{kind}{where}: {words[:300]}"
    if why := no_room(f"{kind}: {words}"):
        return Finding(f"{why}: {told}", rank.number, ok=None)
    if any(phrase in low for phrase in TOO_NEW):
        return Finding(f"image and driver don't go together: {told}", rank.number, ok=None)
    return Finding(told, rank.number, ok=False if any(word in low for word in OF_DEVICES) else None)


def no_room(words: str) -> str:
    """What was missing around the payload, by an error's words; "" for another error."""
    low = words.lower()
    return next((why for phrase, why in NO_ROOM.items() if phrase in low), "")


def hung(ranks: Sequence[Rank], ending: Ending, ours: Collection[int] | None = None) -> Iterator[Finding]:
    """Who made the others wait, where nothing moved any more; or that the time was over.

    `ours`: the ranks on this node; None: all are. Of those on other nodes nothing is known before the end, so that one
    has no records speaks against nobody, and neither does one of ours that waits where it may wait for them.
    """
    here = [r for r in ranks if ours is None or r.number in ours]
    stages = {r.stage or "nowhere" for r in here}
    if not ending.stalled:
        if ending.late:
            yield Finding(f"the time was over at {', '.join(sorted(stages))}", ok=None)
        return
    least = min((r.count for r in here), default=0)
    behind = [r for r in here if r.count == least]
    elsewhere = len(here) < len(ranks)
    if len(behind) == len(here):
        at = ", ".join(sorted(stages))
        loading = stages <= {START, "nowhere"}
        whose = "all ranks of this node" if elsewhere else "all ranks"
        words = f"nothing moved for {ending.stalled:.0f} s: {whose} stand at {at}"
        alone = not elsewhere or all(_alone_at(r) for r in here)
        yield Finding(words, ok=False if alone and not loading else None)
        return
    ahead = sorted(stages - {r.stage or "nowhere" for r in behind})
    for rank in behind:
        stands = f"at {rank.stage}" if rank.stage else "before it began"
        words = f"it hangs {stands} for {ending.stalled:.0f} s; others wait at {', '.join(ahead)}"
        if elsewhere and not _alone_at(rank):
            yield Finding(f"{words} (it may wait for a rank of another node)", rank.number, ok=None)
        else:
            yield Finding(words, rank.number)


def _alone_at(rank: Rank) -> bool:
    """Whether a rank stands where it needs no other one."""
    return rank.stage.partition(",")[0] in ALONE
