"""Mutants that change nothing that a verdict hangs on, by name, and why."""

from __future__ import annotations

EQUIVALENT: dict[str, str] = {
    'gates/drift.py: if state.labels.get(label, "upgrade-done") not in ("", "upgrade-done"):: '
    "\"upgrade-done\" -> ''": ("both stand for no upgrade"),
    'runner/knowngood/gate/nvlinks.py: fast = max([*found.rates.values(), beside, float(limits.get("nvlinkGBps", '
    "0.0)), then]): 0.0 -> 1.0": ("no NVLink runs below 1 GB/s"),
    "runner/knowngood/gate/nvlinks.py: then = float(before[1]) if before else 0.0: 0.0 -> 1.0": ("as above"),
    "runner/knowngood/gate/nvlinks.py: if slow := {link: rate for link, rate in found.rates.items() if 0 < rate "
    "< fast * NEAR}:: 0 -> 1": ("as above"),
    "runner/knowngood/probe/kernel_log/lines.py: seconds = -1.0: 1.0 -> 2.0": ("any number below zero"),
    'runner/knowngood/probe/kernel_log/lines.py: if 0.0 <= seconds < 1e12:  # no "nan" either: < -> <=': (
        "nobody has been up for so long"
    ),
    'runner/knowngood/probe/kernel_log/lines.py: if raw[:1] == "<" and (end := raw.find(">", 1, 6)) > 0 and '
    "raw[1:end].isdigit():: 0 -> 1": ("between the brackets is a digit at least"),
    'runner/knowngood/probe/kernel_log/lines.py: if raw[:1] == "<" and (end := raw.find(">", 1, 6)) > 0 and '
    "raw[1:end].isdigit():: 6 -> 7": ("a priority has three digits at most"),
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
    'rank.last("memory").get("bytes", 0) <= 0:: 0 -> 1 (2)': ("a byte of memory is as good as none"),
    "gates/driver_health.py: return int(limits.get(reading, gpu.number(most) or 0)): 0 -> 1": (
        "no link has less than one lane or generation"
    ),
    "runner/knowngood/gate/kernel_log.py: last: float = -1.0: 1.0 -> 2.0": ("no line is older than its boot"),
    "runner/knowngood/gate/fabric.py: if len(pair) == 2 and _weight(told) > _weight(found.get(pair, "
    "{})):: > -> >=": ("of two ends that got as far either may tell"),
    "runner/knowngood/probe/answer.py: text = json.dumps(told, allow_nan=False): False -> True": (
        "no such number is left by then"
    ),
    "runner/knowngood/probe/files.py: content = _upto(file, most + 1): 1 -> 2": (
        "one byte more is enough to tell that there is more"
    ),
    "runner/knowngood/probe/files.py: while left > 0:: > -> >=": ("nothing more is asked for"),
    "runner/knowngood/probe/files.py: while left > 0:: 0 -> 1": (
        "of a file with more than is wanted it is told all the same"
    ),
    "runner/knowngood/probe/memory.py: kept = sum(int(rows[name]) for name in KEPT if "
    'rows.get(name, "").isdigit()): "" -> \'mutant\'': ("neither is a number"),
    "runner/knowngood/probe/memory.py: return False: return False -> pass": (
        "nothing is returned, which is as false"
    ),
    'runner/knowngood/probe/memory.py: return "": "" -> \'mutant\' (2)': ("neither has a number"),
    "runner/knowngood/probe/isolation.py: ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1)  # "
    "what it leaves behind becomes ours to end: 1 -> 2": ("whatever is not 0 sets it"),
    "runner/knowngood/probe/isolation.py: return True: True -> False (2)": (
        "what presses is told instead of the deadline"
    ),
    "runner/knowngood/probe/isolation.py: self._read(min(LOOK, max(until - time.monotonic(), "
    "0.0))): 0.0 -> 1.0": ("one more look"),
    "runner/knowngood/probe/isolation.py: for _ in range(MOST_LOGGED // PIECE + LONGEST // PIECE + "
    "2):: 2 -> 3": ("one more look"),
    "runner/knowngood/probe/isolation.py: if not self._read(0.0):: 0.0 -> 1.0": (
        "a second more, for who still holds the pipes"
    ),
    "runner/knowngood/probe/isolation.py: return False: False -> True (2)": (
        "a few more looks at pipes that are closed"
    ),
    "runner/knowngood/probe/isolation.py: self._logged = 0: 0 -> 1": (
        "a bound on how much is logged, to a byte"
    ),
    "runner/knowngood/probe/isolation.py: return None: return None -> pass": (
        "nothing is returned either way"
    ),
    "runner/knowngood/probe/host.py: return None: return None -> pass": ("nothing is returned either way"),
    "runner/knowngood/probe/__main__.py: return json.dumps(document, sort_keys=True, "
    'separators=(",", ":")) + "\\n": True -> False': ("nobody reads the order of keys"),
    'runner/knowngood/probe/inference.py: "requestsPerSecond": round(1000 * requests / '
    "max(sum(latencies), 1e-6), 1),: 1e-6 -> 2e-06": ("it keeps a divisor from being zero"),
    "runner/knowngood/probe/gpudirect.py: return zlib.decompressobj(31).decompress(packed, "
    '_MOST_CONFIG).decode("utf-8", "replace"): 31 -> 32': ("zlib then sees by itself that it is gzip"),
    "runner/knowngood/probe/kernel_log/reading.py: def read(path: Path, count: Count, *, grep: bool "
    "= True) -> Iterator[Read]:: True -> False": ("without grep the same is found, and it takes longer"),
    "runner/knowngood/probe/kernel_log/files.py: def matching(path: Path, size: int, *, grep: bool "
    "= True) -> Iterator[str]:: True -> False": ("without grep the same is found, and it takes longer"),
    "runner/knowngood/probe/kernel_log/files.py: STILL_S = 2.0: 2.0 -> 4.0": (
        "whoever searches it, it is to the size that it had"
    ),
    "runner/knowngood/probe/kernel_log/files.py: still = time.time() - path.stat().st_mtime >= "
    "STILL_S: >= -> >": ("as above"),
    "runner/knowngood/probe/kernel_log/files.py: if len(rest) > LONGEST_LINE:: > -> >=": (
        "a bound, to a byte"
    ),
    "runner/knowngood/probe/kernel_log/reading.py: if now is None or abs(now - self._at) > "
    "FLOOD_S:: > -> >=": ("what is not counted here is read, and counted there"),
    "runner/knowngood/probe/kernel_log/reading.py: self._tail, self._at = (raw[end:], line.seconds "
    'or 0.0) if stamped else ("", 0.0): 0.0 -> 1.0 (2)': ("of what has no stamp the moment is not asked"),
    'runner/knowngood/probe/kernel_log/reading.py: if raw[:1] != "[" or not 0 < end < 24:: 0 -> 1': (
        "between such brackets is no number"
    ),
    'runner/knowngood/probe/kernel_log/reading.py: if raw[:1] != "[" or not 0 < end < 24:: < -> <=': (
        "the long way reads the same"
    ),
    'runner/knowngood/probe/kernel_log/reading.py: if raw[:1] != "[" or not 0 < end < 24:: < -> <= (2)': (
        "as above"
    ),
    'runner/knowngood/probe/kernel_log/reading.py: if raw[:1] != "[" or not 0 < end < 24:: 24 -> 25': (
        "the long way reads the same"
    ),
    "runner/knowngood/probe/kernel_log/reading.py: return seconds if 0.0 <= seconds < 1e12 else "
    'None  # no "nan" either: < -> <=': ("the long way reads the same"),
    "runner/knowngood/probe/kernel_log/reading.py: return seconds if 0.0 <= seconds < 1e12 else "
    'None  # no "nan" either: 1e12 -> 2000000000000.0': ("the long way reads the same"),
    "runner/knowngood/probe/smoke/launch.py: if now - moved > stall or now - started > deadline:: > "
    "-> >= (2)": ("as above"),
    'runner/knowngood/gate/rdma_counters.py: return "fatal": "fatal" -> \'\' (2)': ("as above"),
    "runner/knowngood/gate/rdma_counters.py: here, there = now.seconds or 0.0, before.seconds or "
    "0.0: 0.0 -> 1.0 (2)": ("as above"),
    'runner/knowngood/probe/smoke/records.py: self._at = os.open(folder / f"rank-{rank}.at", '
    "os.O_WRONLY | os.O_CREAT, 0o644): 0o644 -> 421": ("who else may run it is asked by nobody"),
    'runner/knowngood/probe/smoke/records.py: return "": "" -> \'mutant\'': (
        "neither has a record or a count"
    ),
    'runner/knowngood/probe/smoke/ends.py: loading = stages <= {START, "nowhere"}: <= -> <': (
        "of ranks that stand at the same count all have begun, or none"
    ),
    "runner/knowngood/probe/smoke/launch.py: return (now - moved if now - moved > stall else 0.0), "
    "now - started > deadline: > -> >=": (
        "the clock never stands at the deadline for long enough to be seen there"
    ),
    "runner/knowngood/probe/smoke/launch.py: return (now - moved if now - moved > stall else 0.0), "
    "now - started > deadline: > -> >= (2)": ("as above"),
    "runner/knowngood/probe/fabric/perftest.py: dma_buf: bool = False: False -> True": (
        "it is said of every reading"
    ),
    "runner/knowngood/probe/fabric/ports.py: gpu: int = 0: 0 -> 1": ("it is said of every port"),
    "runner/knowngood/probe/fabric/ports.py: used[best] += 1: 1 -> 2": (
        "which is used more often stays the same"
    ),
    "runner/knowngood/probe/fabric/ports.py: count = 0: 0 -> 1": ("which is shared more stays the same"),
    "runner/knowngood/probe/fabric/ports.py: count += 1: 1 -> 2": ("as above"),
    "runner/knowngood/probe/smoke/by_value.py: SUMS = 8: 8 -> 9": ("one sum more tells the same"),
    "runner/knowngood/probe/smoke/by_value.py: return math.sqrt(sum(x * x for x in sums) / "
    "max(len(sums), 1)): 1 -> 2": ("of no sums the length is 0"),
    "runner/knowngood/probe/fabric/meeting.py: HELLO = 10.0: 10.0 -> 20.0": (
        "for how long a stranger's first word is waited for"
    ),
    "runner/knowngood/probe/fabric/meeting.py: door.setsockopt(socket.SOL_SOCKET, "
    "socket.SO_REUSEADDR, 1): 1 -> 2": ("whatever is not 0 sets it"),
    'runner/knowngood/probe/fabric/meeting.py: line.hear("welcome", max(until - time.monotonic(), '
    "0.01)): 0.01 -> 0.02": ("as above: a socket must be given some patience"),
    "runner/knowngood/probe/fabric/pair.py: AFTER = 10.0: 10.0 -> 20.0": (
        "for how long the other's words are waited for"
    ),
    'runner/knowngood/probe/fabric/pair.py: theirs = line.hear("measured", phase.seconds + 2 * '
    'START)["said"]: 2 -> 3': ("as above"),
    "runner/knowngood/probe/fabric/pair.py: own = nccl.transports(folder, Promise(2, ranks, "
    "work.nvswitch, work.rdma_mode)): 2 -> 3": ("whether it is more than one is all that is asked"),
    'runner/knowngood/probe/fabric/nccl.py: place = str(line.hear("proxy", 2 * '
    'SAID_WITHIN).get("place") or ""): 2 -> 3': ("for how long the other's words are waited for"),
    'runner/knowngood/probe/smoke/instances.py: if not os.environ.get("CUDA_VISIBLE_DEVICES", '
    '"").startswith("MIG-"):: "" -> \'mutant\'': ("neither is a MIG device"),
    'runner/knowngood/probe/smoke/instances.py: ran = subprocess.run(["nvidia-smi", "-L"], '
    "capture_output=True, text=True, timeout=60, check=False): 60 -> 61": (
        "for how long a tool that hangs is waited for"
    ),
    "runner/knowngood/probe/smoke/instances.py: code = self._process.wait(max(0.0, until - "
    "time.monotonic())): 0.0 -> 1.0": ("a second more, where all time is used up"),
    "runner/knowngood/probe/smoke/asking.py: threading.Thread(target=self._device, args=(n,), "
    "daemon=True) for n in range(len(self._places)): True -> False": ("all of them are waited for"),
    "runner/knowngood/probe/smoke/asking.py: threading.Thread(target=self._asker, args=(number, "
    "turns), daemon=True): True -> False": ("as above"),
    "runner/knowngood/probe/smoke/asking.py: self._one(number, 0, counted=False): 0 -> 1": (
        "which request is the one that is not counted"
    ),
    "runner/knowngood/probe/smoke/serving.py: yield from ended(records.read(self._folder, "
    "len(self._processes)), Ending(0, codes)): 0 -> 1": ("the end of a launch is not asked of servers"),
    'runner/knowngood/probe/smoke/backend.py: def ready(host: Host, gpus: int, wanted: str = "") -> '
    "tuple[Any | None, Answer | None]:: \"\" -> 'mutant'": ("it is always said"),
    'runner/knowngood/probe/smoke/backend.py: if "MIG-" in os.environ.get("NVIDIA_VISIBLE_DEVICES", '
    '"") or "MIG-" in os.environ.get(: "" -> \'mutant\'': ("neither is a MIG device"),
    'runner/knowngood/probe/smoke/backend.py: "CUDA_VISIBLE_DEVICES", "": "" -> \'mutant\'': ("as above"),
    "runner/knowngood/probe/smoke/backend.py: if shared and seen < gpus:: < -> <=": (
        "as many are no matter any more"
    ),
    "runner/knowngood/gate/verdicts.py: raise GateFailed(reason, pytrace=False): False -> True": (
        "how pytest shows what the events say by themselves"
    ),
    "runner/knowngood/gate/verdicts.py: raise GateInconclusive(reason, pytrace=False): False -> True": (
        "as above"
    ),
    "runner/knowngood/gate/neighbours.py: since = max(0.0, up - hours * 3600 - journals.SETTLED): "
    "3600 -> 3601": ("a second an hour more than is asked for"),
    "runner/knowngood/gate/neighbours.py: since = max(0.0, up - hours * 3600 - journals.SETTLED): "
    "0.0 -> 1.0": ("in a boot's first second no application has run"),
    'gates/rdma_health.py: old = then.get(same.get(port.part, ""), {}): "" -> \'mutant\'': (
        "no port has either name"
    ),
    "gates/operators.py: return False: return False -> pass": ("nothing is returned, which is as false"),
}
