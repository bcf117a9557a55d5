"""Mutants that change nothing that a verdict hangs on, by name, and why."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {
    'gates/drift.py: if state.labels.get(label, "upgrade-done") not in ("", "upgrade-done"):: '
    "\"upgrade-done\" -> ''": ("both stand for no upgrade"),
    'gates/driver_health.py: fast = max([*found.rates.values(), float(limits.get("nvlinkGBps", '
    "0.0))], default=0.0): 0.0 -> 1.0": ("no NVLink runs below 1 GB/s"),
    "runner/knowngood/gate/kernel_log.py: last=-1.0 if last is None else int(last) / 1e6,: 1.0 -> 2.0": (
        "no line is older than its boot"
    ),
    "runner/knowngood/probe/fabric/meeting.py: self._connection.settimeout(max(until - "
    "time.monotonic(), 0.01)): 0.01 -> 0.02": ("a socket must be given some patience, where all is used up"),
    "runner/knowngood/probe/kernel_log/codes.py: 5: Action.HOLD,  # recover the IMEX domain: 5 -> 6": (
        "a number that is not in the table is for a human, too"
    ),
    "runner/knowngood/probe/kernel_log/lines.py: if end > 0 and raw.startswith(_BEGINNINGS, "
    "end + 2):: 2 -> 3": ("the long way reads the same, and longer"),
    "runner/knowngood/probe/fabric/payload.py: share = MEET + (DONE - MEET) * number / max(1, "
    "len(rounds)): 1 -> 2": ("of one round the number is 0"),
    "runner/knowngood/probe/fabric/meeting.py: door.settimeout(max(until - time.monotonic(), "
    "0.01)): 0.01 -> 0.02": ("as above"),
    'runner/knowngood/probe/smoke/verdict.py: count = min((len(r.of("step")) for r in ranks), '
    "default=0): 0 -> 1": ("of no ranks there is no step to fault either way"),
    'runner/knowngood/probe/kernel_log/lines.py: return Line(_UNSTAMPED.sub("", raw[at:]), '
    "wall=wall, kernel=False, fabric_manager=True): False -> True": (
        "what is the Fabric Manager's is read as its own before anybody asks who wrote it"
    ),
    'runner/knowngood/probe/kernel_log/lines.py: if 0.0 <= seconds < 1e12:  # no "nan" either: 0.0 -> 1.0': (
        "the long way reads the same, and longer"
    ),
    "runner/knowngood/probe/fabric/meeting.py: connection = socket.create_connection((name, "
    "port), timeout=max(until - time.monotonic(), 0.01)): 0.01 -> 0.02": (
        "as above: a socket must be given some patience"
    ),
    "runner/knowngood/probe/isolation.py: if text and self._logged < MOST_LOGGED:: < -> <=": (
        "a bound on how much is logged, to a byte"
    ),
    'runner/knowngood/gate/neighbours.py: said = of[0].values.get("remapFailure", "").lower() '
    'if of else "": "" -> \'mutant\'': ("neither is a word of the driver's"),
    "runner/knowngood/probe/smoke/ends.py: least = min((r.count for r in here), default=0): 0 -> 1": (
        "of no ranks there is no rank that is behind"
    ),
    "runner/knowngood/probe/kernel_log/lines.py: return parse(self.message) if numbered or "
    "len(self.message) > SHORT else _parsed(self.message): > -> >=": ("the same"),
    "runner/knowngood/probe/kernel_log/lines.py: SHORT = 512: 512 -> 513": (
        "how long a message is kept to be seen again"
    ),
    "runner/knowngood/probe/kernel_log/lines.py: _parsed = lru_cache(maxsize=4096)(parse): 4096 -> 4097": (
        "how many messages are kept to be seen again"
    ),
    "runner/knowngood/probe/smoke/launch.py: if now - moved > stall or now - started > deadline:: > -> >=": (
        "the clock never stands at the deadline for long enough to be seen there"
    ),
    'runner/knowngood/probe/answer.py: if not isinstance(found, dict) or found.get("ok", "") '
    "not in (True, False, None):: \"\" -> 'mutant'": ("neither is an answer"),
    'runner/knowngood/probe/smoke/verdict.py: found |= _column("checkpointSeconds", '
    '[r.last("checkpoint").get("seconds") for r in ranks][:1], 3): 3 -> 4': ("digits of what is only told"),
    "runner/knowngood/probe/smoke/serving.py: if len(found) == devices or any(p.poll() is not "
    "None for p in self._processes):: is not -> is": (
        "a server that ended is waited for until the time is over: later, and the same"
    ),
    "runner/knowngood/probe/fabric/pair.py: START = 45.0: 45.0 -> 90.0": (
        "for how long a partner is waited for that does not come; the payload's own deadline ends it"
    ),
    'runner/knowngood/probe/fabric/pair.py: serving = line.hear("serving", 2 * START)["rails"]: 2 -> 3': (
        "the same"
    ),
    "runner/knowngood/gate/fabric.py: NCCL = -1: 1 -> 2": ("any number that is no rail"),
    "runner/knowngood/gate/log_errors.py: days = max(1.0, (hours or 0.0) / DAY_H): 0.0 -> 1.0": (
        "less than a day is one"
    ),
    'runner/knowngood/gate/rdma_counters.py: return "fatal": "fatal" -> \'\'': (
        "whatever is neither a rate nor a note"
    ),
    'runner/knowngood/gate/rdma_counters.py: limit = float(limits.get(LIMITS.get(name, ""), '
    "0)): \"\" -> 'mutant'": ("no limit has either name"),
    "runner/knowngood/gate/rdma_counters.py: here, there = now.seconds or 0.0, before.seconds "
    "or 0.0: 0.0 -> 1.0": ("a second of a rate that is asked for a minute at least"),
    'runner/knowngood/gate/rdma_waived.py: for word in judge.unwaived((guids.get(part, ""), '
    "one) for one in judge.unwaived([(part, words)])): \"\" -> 'mutant'": ("no waiver has an empty name"),
    "runner/knowngood/probe/smoke/ends.py: if finding := _of_signal(rank, "
    "ending.codes.get(rank.number, 0), ending) or _of_error(rank):: 0 -> 1": ("neither is a signal"),
    "runner/knowngood/probe/smoke/nccl_log.py: rank: int = -1: 1 -> 2": ("no rank has either number"),
    "runner/knowngood/probe/smoke/nccl_log.py: ranks: int = 0: 0 -> 1": (
        "a communicator has one rank at least"
    ),
    'runner/knowngood/probe/smoke/verdict.py: if rank.of("memory") and '
    'rank.last("memory").get("bytes", 0) <= 0:: 0 -> 1': ("a byte of memory is as good as none"),
}
