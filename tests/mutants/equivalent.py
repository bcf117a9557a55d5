"""Mutants that change nothing that a verdict hangs on, by name, and why."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {
    'gates/drift.py: if state.labels.get(label, "upgrade-done") not in ("", "upgrade-done"):: "upgrade-done" -> \'\'': (
        "both stand for no upgrade"
    ),
    "gates/driver_health.py: fast = max([*found.rates.values(), "
    'float(limits.get("nvlinkGBps", 0.0))], default=0.0): 0.0 -> 1.0': "no NVLink runs below 1 GB/s",
    "runner/knowngood/gate/kernel_log.py: last=-1.0 if last is None else int(last) / 1e6,: 1.0 -> 2.0": (
        "no line is older than its boot"
    ),
    'runner/knowngood/planner/sharing.py: config = state.labels.get(WORKLOAD, "container"): "container" -> \'\'': (
        "a node without the label is no virtual machines' either way"
    ),
    "runner/knowngood/probe/smoke/serving.py: for seed in range(5000, 5040):: 5000 -> 5001": (
        "any prompts will do whose answers leave no doubt"
    ),
    "runner/knowngood/probe/files.py: part = os.read(file, min(left, 65536)): 65536 -> 65537": (
        "the size of a piece, not of the whole"
    ),
    "runner/knowngood/probe/fabric/meeting.py: self._connection.settimeout(max(until - time.monotonic(), 0.01)): "
    "0.01 -> 0.02": ("a socket must be given some patience, where all is used up"),
    "runner/knowngood/probe/fabric/nccl.py: if over or time.monotonic() > until:: > -> >=": (
        "the clock never stands at the deadline for long enough to be seen there"
    ),
    "runner/knowngood/probe/isolation.py: if time.monotonic() > until:: > -> >=": ("the same"),
    "runner/knowngood/probe/kernel_log/codes.py: 5: Action.HOLD,  # recover the IMEX domain: 5 -> 6": (
        "a number that is not in the table is for a human, too"
    ),
    "runner/knowngood/probe/kernel_log/lines.py: if end > 0 and raw.startswith(_BEGINNINGS, end + 2):: 2 -> 3": (
        "the long way reads the same, and longer"
    ),
    "runner/knowngood/probe/fabric/payload.py: share = MEET + (DONE - MEET) * number / max(1, len(rounds)): 1 -> 2": (
        "of one round the number is 0"
    ),
    "runner/knowngood/probe/fabric/meeting.py: door.settimeout(max(until - time.monotonic(), 0.01)): 0.01 -> 0.02": (
        "as above"
    ),
    'runner/knowngood/probe/smoke/verdict.py: count = min((len(r.of("step")) for r in ranks), default=0): 0 -> 1': (
        "of no ranks there is no step to fault either way"
    ),
    'runner/knowngood/probe/kernel_log/lines.py: return Line(_UNSTAMPED.sub("", raw[at:]), wall=wall, kernel=False, '
    "fabric_manager=True): False -> True": (
        "what is the Fabric Manager's is read as its own before anybody asks who wrote it"
    ),
}
