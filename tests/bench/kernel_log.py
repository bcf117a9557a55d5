"""`probe kernel-log` beside `grep -E 'NVRM|SXid'` on the same file, in a flood, and a journal of a million entries.

The file has lines as a node's syslog has them, 2 % of them of drivers. Each is run in turn and compared with grep's run
right before it, the median of three: grep and the parser run beside each other, on a core each where there are two, so
the clock counts; on a machine that others use the processor time tells more.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from tests.bench.measurement import ROOT, Measurement

MEGABYTES, SMALL_MB, FLOOD_MB, ENTRIES = 1024, 128, 64, 1_000_000
"""Sizes: of the log, of its beginning for what takes long, of a flood; and entries of a journal."""
GREP = ("grep", "-cE", "NVRM|SXid")
PROBE = (sys.executable, "-m", "knowngood.probe", "kernel-log", "--file")
NOISE = (
    "systemd[1]: Started Session {i} of User root.",
    'crio[1999]: time="2026-11-29" level=info msg="Checking image status: openshift/pause" id={i}',
    "kubelet[2211]: I1129 reconciler.go:224] operationExecutor.VerifyControllerAttachedVolume started for volume {i}",
    "kernel: IPv6: ADDRCONF(NETDEV_CHANGE): cali{i}: link becomes ready",
)
HITS = (
    "kernel: NVRM: Xid (PCI:0000:18:00): 31, pid={i}, name=pt_main_thread, Ch 00000010, MMU Fault",
    "kernel: mlx5_core 0000:3b:00.0 eth0: Link up",
    "kernel: nvidia-nvswitch1: SXid (PCI:0000:06:00.0): 20034, Fatal, Link {i} LTSSM Fault Up",
)
WATCHED = """
import json, resource, subprocess, sys, time
begin, last = time.perf_counter(), b""
child = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE)  # not /dev/null: grep would stop at its first hit
while said := child.stdout.read(1 << 16):
    last = said[-1000:]
child.wait()
used = resource.getrusage(resource.RUSAGE_CHILDREN)
figures = used.ru_utime + used.ru_stime, time.perf_counter() - begin, used.ru_maxrss / 1024
print(json.dumps([last.decode(), *figures]))
"""
THINNED = """
import sys
from knowngood.adapters.cluster.journals import thinned
kept = sum(len(line) for line in thinned(raw.rstrip() for raw in open(sys.argv[1])))
print(kept / 1e6)
"""


def syslog() -> Iterator[str]:
    """Lines without end; each fiftieth is a driver's."""
    i = 0
    while True:
        i += 1
        words = HITS[i // 50 % len(HITS)] if i % 50 == 0 else NOISE[i % len(NOISE)]
        yield f"Nov 29 {i // 3600000 % 24:02}:{i // 60000 % 60:02}:{i // 1000 % 60:02} gpu-1 {words.format(i=i)}\n"


def flood() -> Iterator[str]:
    """The same error without end, a thousand a second."""
    i = 0
    while True:
        i += 1
        yield f"[{i / 1000:12.6f}] NVRM: Xid (PCI:0000:18:00): 92, pid='<unknown>', name=<unknown>, High rate of SBE\n"


def entries() -> Iterator[str]:
    """Entries of a journal, every one another."""
    base = {
        "_TRANSPORT": "kernel",
        "_BOOT_ID": "a" * 32,
        "SYSLOG_FACILITY": "0",
        "PRIORITY": "3",
        "_HOSTNAME": "gpu-1",
    }
    i = 0
    while True:
        i += 1
        message = f"NVRM: Xid (PCI:0000:18:00): 31, pid={i}, name=pt_main_thread, Ch 00000010, MMU Fault"
        yield json.dumps(base | {"__MONOTONIC_TIMESTAMP": str(i * 1000), "MESSAGE": message}) + "\n"


def measure() -> Iterator[Measurement]:
    """All figures; the files are made first."""
    with tempfile.TemporaryDirectory() as folder:
        small = write(Path(folder) / "small", syslog(), SMALL_MB << 20)
        cpu, clock, _, _ = beside_grep(small, [*PROBE, str(small), "--no-grep"])
        note = f"{SMALL_MB} MB, 2 % hits; {cpu:.1f} times the processor time"
        yield Measurement("kernel-log without grep, times grep itself", clock, "x", note=note)
        file = Path(folder) / "syslog"
        with file.open("wb") as out:
            for _ in range(MEGABYTES // SMALL_MB):
                out.write(small.read_bytes())
        cpu, clock, seconds, peak = beside_grep(file, [*PROBE, str(file)])
        note = f"{MEGABYTES} MB, 2 % hits; {MEGABYTES / seconds:.0f} MB/s; {cpu:.1f} times the processor time"
        yield Measurement("kernel-log with grep, times grep itself", clock, "x", 5.0, note)
        yield Measurement("kernel-log, peak memory", peak, "MB", 64.0)
        file = write(Path(folder) / "flood", flood(), FLOOD_MB << 20)
        runs = [run([*PROBE, str(file)])[1] for _ in range(3)]
        cpu, clock, peak = (statistics.median(column) for column in zip(*runs, strict=True))
        note = f"{1000 * cpu / FLOOD_MB:.0f} ms of processor time; {peak:.0f} MB at most"
        yield Measurement("a MB of a flood", 1000 * clock / FLOOD_MB, "ms", 40.0, note)
        file = Path(folder) / "journal"
        with file.open("w") as out:
            out.writelines(islice(entries(), ENTRIES))
        kept, (_, clock, peak) = run([sys.executable, "-c", THINNED, str(file)])
        note = f"{float(kept):.1f} MB kept; {clock:.0f} s"
        yield Measurement("a gate's look at a million entries, peak memory", peak, "MB", 200.0, note)


def write(path: Path, lines: Iterable[str], size: int) -> Path:
    """So many bytes of lines."""
    written = 0
    with path.open("w") as out:
        for line in lines:
            written += out.write(line)
            if written >= size:
                return path
    return path


def beside_grep(file: Path, command: list[str]) -> tuple[float, float, float, float]:
    """Times grep's processor time and clock, the median of three turns; median seconds and peak memory in MB."""
    turns = [(run([*GREP, str(file)])[1], run(command)[1]) for _ in range(3)]
    return (
        statistics.median(ours[0] / grep[0] for grep, ours in turns),
        statistics.median(ours[1] / grep[1] for grep, ours in turns),
        statistics.median(ours[1] for _, ours in turns),
        max(ours[2] for _, ours in turns),
    )


def run(command: list[str]) -> tuple[str, list[float]]:
    """What it printed last; processor seconds, seconds on the clock and peak memory in MB, children included."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "runner")}
    watch = [sys.executable, "-S", "-c", WATCHED, *command]
    done = subprocess.run(watch, env=environment, check=True, capture_output=True, text=True)
    said, *figures = json.loads(done.stdout)
    return said, figures
