"""The Lease that says who may run, by client-go's rule: time is our own monotonic clock, never the holder's.

The fence is the Lease's `leaseTransitions`, one more at each taking, also by the same run's `resume`: a runner that
wakes up late finds another number and stops. A Lease that somebody deleted counts on from what the checkpoints
remember (`above`), and whoever held the old one stops: to its holder a Lease is its uid, not its name. `resume` takes
its run's Lease at once only where the process that held it ended on this very machine; any other holder may still be
at work, and is watched like a stranger.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from knowngood.adapters.clock import this_boot
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.adapters.waiting import waiting
from knowngood.model.errors import KnowngoodError, LockHeld, Unreachable, UsageError
from knowngood.model.names import (
    LEASE,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    NAMESPACE,
    PROCESS_ANNOTATION,
    VERSION_ANNOTATION,
    WHO_ANNOTATION,
)
from knowngood.model.values import Values
from knowngood.ports.cancel import Cancel
from knowngood.ports.lock import Beat, Lock, no_beat

_NOTES = {"who": WHO_ANNOTATION, "version": VERSION_ANNOTATION}
LEASES = path("coordination.k8s.io/v1", "leases", "", NAMESPACE)
LEASE_PATH = path("coordination.k8s.io/v1", "leases", LEASE, NAMESPACE)
RENEWALS = 4  # in one duration
TIMEOUT, RETRY = 1 / 12, 1 / 24
"""Shares of the duration: one attempt's time and the pause after a failed one. Together they are how much later
than two thirds of the duration a hanging API server is noticed: at 0.79 of it, while the Lease is still ours."""


def micro_time() -> str:
    """Now, as the API's MicroTime."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def holding(lease: Values | None, now: datetime) -> tuple[str, bool | None]:
    """The run that a Lease names, "" for none, and whether it is still renewed; None: nobody can tell."""
    spec = (lease or {}).get("spec") or {}
    holder = str(spec.get("holderIdentity") or "")
    try:
        renewed = datetime.fromisoformat(str(spec.get("renewTime") or "").replace("Z", "+00:00"))
        lasts = timedelta(seconds=float(spec.get("leaseDurationSeconds") or 0))
        return holder, renewed + lasts > now
    except (ValueError, TypeError):
        return holder, None


class KubeLock(Lock):
    """One Lease in our namespace. `duration` in seconds. `runner`: who (user@host) and version, written on it.

    `tell` hears in words for whom we wait.
    """

    def __init__(
        self,
        kube: Kube,
        duration: float,
        runner: Mapping[str, str] | None = None,
        tell: Callable[[str], None] = lambda _words: None,
    ) -> None:
        self._kube, self._tell = kube, tell
        self._notes = {_NOTES[key]: value for key, value in (runner or {}).items()}
        self._duration = duration
        self._run = ""
        self._fence = -1
        self._lease: Object = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, run: str, cancel: Cancel, beat: Beat = no_beat, *, above: int = 0) -> int:
        """See the port. A Lease that may be in use is watched for one duration: only if nobody renews it is it taken.

        It may be our own run's, on another machine.
        """
        seen: tuple[Any, ...] | None = None
        since = time.monotonic()
        while True:
            lease = self._kube.find(LEASE_PATH)
            record = None
            if lease is not None and not self._may_take(lease, run):
                record = _record(lease)
                # Before the time is looked at: it may be renewed, or taken by another, when it is just over.
                if seen is not None and record != seen:
                    raise _held(lease)
            if lease is None or record is None or time.monotonic() - since >= self._length(lease):
                if self._take(lease, run, above):
                    break
                continue
            if seen is None:
                whose = str((lease.get("spec") or {}).get("holderIdentity"))
                self._tell(
                    f"names run {whose}: taken once nobody has renewed it for {self._length(lease):.0f} s"
                )
            seen = record
            if cancel.wait(self._duration * RETRY):
                cancel.check()
        self._start(cancel, beat)
        return self._fence

    def release(self) -> None:
        """See the port."""
        if self._thread is None:
            return
        self._stop.set()
        self._thread.join()
        self._thread = None
        with contextlib.suppress(KnowngoodError):  # a Lease that can't be given back runs out by itself
            lease = self._kube.find(LEASE_PATH)
            if lease is not None and self._is_ours(lease):
                spec = {key: value for key, value in lease["spec"].items() if key != "holderIdentity"}
                self._kube.replace(LEASE_PATH, {**lease, "spec": {**spec, "renewTime": micro_time()}})

    def _may_take(self, lease: Object, run: str) -> bool:
        holder = (lease.get("spec") or {}).get("holderIdentity")
        return not holder or (holder == run and _ended(_annotations(lease).get(PROCESS_ANNOTATION, "")))

    def _length(self, lease: Object) -> float:
        return float((lease.get("spec") or {}).get("leaseDurationSeconds") or self._duration)

    def _is_ours(self, lease: Object) -> bool:
        spec = lease.get("spec") or {}
        ours = (self._run, self._fence, self._lease["metadata"]["uid"])
        uid = (lease.get("metadata") or {}).get("uid")
        return (spec.get("holderIdentity"), spec.get("leaseTransitions"), uid) == ours

    def _take(self, lease: Object | None, run: str, above: int) -> bool:
        """Write ourselves in; False if somebody was faster."""
        now = micro_time()
        before = (lease or {}).get("spec") or {}
        fence = max(int(before.get("leaseTransitions") or 0), above) + 1
        ours = {**self._notes, PROCESS_ANNOTATION: _this_process()}
        spec = {
            "holderIdentity": run,
            "leaseDurationSeconds": max(1, math.ceil(self._duration)),
            "acquireTime": now,
            "renewTime": now,
            "leaseTransitions": fence,
        }
        try:
            if lease is None:
                self._lease = self._kube.create(LEASES, _new(spec, ours))
            else:
                metadata = {**lease["metadata"], "annotations": _annotations(lease) | ours}
                self._lease = self._kube.replace(LEASE_PATH, {**lease, "metadata": metadata, "spec": spec})
        except ApiError as error:
            if error.missing:
                raise UsageError(
                    f"namespace {NAMESPACE} is missing on this cluster", hint="kubectl apply -k deploy/base"
                ) from error
            if error.conflict:
                return self._taken_by_a_retry(run, fence)
            raise
        self._run, self._fence = run, fence
        return True

    def _taken_by_a_retry(self, run: str, fence: int) -> bool:
        """Whether the write that seems to conflict was ours: its answer got lost and it was sent again."""
        lease = self._kube.find(LEASE_PATH) or {}
        spec = lease.get("spec") or {}
        ours = spec.get("holderIdentity") == run and spec.get("leaseTransitions") == fence
        # The same run may have taken it elsewhere, with the same number.
        if ours and _annotations(lease).get(PROCESS_ANNOTATION) == _this_process():
            self._lease, self._run, self._fence = lease, run, fence
            return True
        return False

    def _start(self, cancel: Cancel, beat: Beat) -> None:
        self._stop.clear()
        self._thread = threading.Thread(target=self._renew, args=(cancel, beat), name="lease", daemon=True)
        self._thread.start()

    def _renew(self, cancel: Cancel, beat: Beat) -> None:
        """Renew until told to stop. However else it ends, the run must not go on without its Lease."""
        try:
            with waiting():
                why = self._renew_until_stopped(beat)
        except BaseException as error:  # noqa: BLE001 (a thread that dies silently would leave the run at work)
            what = type(error).__name__  # not its text, which may quote a secret
            why = f"the Lease is no longer renewed: {what}"
        if why:
            cancel.set(why)

    def _renew_until_stopped(self, beat: Beat) -> str:
        """ "" when told to stop, else why the Lease is lost."""
        renewed = time.monotonic()
        pause = self._duration / RENEWALS
        while not self._stop.wait(pause):
            asked = time.monotonic()
            trouble = self._renew_once()
            if trouble == "":
                renewed, pause = asked, self._duration / RENEWALS
                with contextlib.suppress(KnowngoodError):
                    beat(self._duration * TIMEOUT)
                continue
            pause = self._duration * RETRY
            if trouble.startswith("taken"):
                return f"the Lease was {trouble}"
            if time.monotonic() - renewed >= self._duration * 2 / 3:
                return f"the Lease could not be renewed for two thirds of its time ({trouble})"
        return ""

    def _renew_once(self) -> str:
        """ "" if renewed, else why not; one that begins with `taken` is final."""
        spec = {**self._lease["spec"], "renewTime": micro_time()}
        try:
            renewed = self._kube.once(
                "PUT", LEASE_PATH, {**self._lease, "spec": spec}, timeout=self._duration * TIMEOUT
            )
        except ApiError as error:
            if error.conflict or error.missing:
                return self._look_again()
            return str(error)
        except (Unreachable, UsageError) as error:
            return str(error)
        if not self._is_ours(renewed):
            return "the answer is no Lease of ours"
        self._lease = renewed
        return ""

    def _look_again(self) -> str:
        try:
            lease = self._kube.once("GET", LEASE_PATH, timeout=self._duration * TIMEOUT)
        except ApiError as error:
            return "taken away: it was deleted" if error.missing else str(error)
        except (Unreachable, UsageError) as error:
            return str(error)
        if not self._is_ours(lease):
            again = lease["metadata"].get("uid") != self._lease["metadata"]["uid"]
            return f"taken over by {_holder(lease)}" + (" (deleted, and made anew)" if again else "")
        self._lease = lease
        return "somebody else wrote on it"


def _new(spec: Object, annotations: dict[str, str]) -> Object:
    metadata = {
        "name": LEASE,
        "namespace": NAMESPACE,
        "labels": {MANAGED_BY_LABEL: MANAGED_BY},
        "annotations": annotations,
    }
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _annotations(lease: Object) -> dict[str, str]:
    return dict(lease["metadata"].get("annotations") or {})


def _machine() -> str:
    """Names the place where a pid means something: this boot and this pid namespace; "" where Linux does not say it."""
    try:
        return f"{boot}/{Path('/proc/self/ns/pid').readlink()}" if (boot := this_boot()) else ""
    except OSError:
        return ""


def _began(pid: int) -> str:
    """When a process began, in clock ticks since boot; "" for one that has ended and is only not reaped yet."""
    stat = Path("/proc", str(pid), "stat").read_text(encoding="utf-8", errors="replace")
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def _this_process() -> str:
    """This process, named so that no other is ever taken for it: a pid alone is given away again."""
    machine = _machine()
    return f"{machine}/{os.getpid()}/{_began(os.getpid())}" if machine else ""


def _ended(process: str) -> bool:
    """Whether a process of this machine is surely gone. False where it can't be told: it ran elsewhere, say."""
    machine, pid, began = [*process.rsplit("/", 2), "", ""][:3]
    if not machine or machine != _machine() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
        return _began(int(pid)) != began
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # another user's and hidden from us, or no pid at all
        return False


def _record(lease: Object) -> tuple[Any, ...]:
    spec = lease.get("spec") or {}
    return (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))


def _holder(lease: Object) -> str:
    return str((lease.get("spec") or {}).get("holderIdentity") or "nobody")


def _held(lease: Object) -> LockHeld:
    holder, notes = _holder(lease), _annotations(lease)
    who = f" for {notes[WHO_ANNOTATION]}" if notes.get(WHO_ANNOTATION) else ""
    return LockHeld(
        f"run {holder} holds the cluster{who} (Lease {NAMESPACE}/{LEASE})", hint=f"knowngood status {holder}"
    )
