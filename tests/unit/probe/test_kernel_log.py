"""`kernel-log --file`: every format, wrapped and escaped; what can't be read is never passed over."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from knowngood.probe.kernel_log import command, lines

ROOT = Path(__file__).parents[3]
XID = "NVRM: Xid (PCI:0000:1A:00 GPU-I:05 GPU-CI:02): 94, pid=41, name=train, Contained: SM (0x1). RST: No"
BOOT = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
Told = tuple[int, list[dict[str, Any]]]


def told(path: Path, *, grep: bool = True) -> Told:
    said: list[str] = []
    status = command.run(path, said.append, grep=grep)
    assert all(line.endswith("\n") for line in said)
    return status, [json.loads(line) for line in said]


def log(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "log"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def entry(message: Any = XID, **fields: Any) -> dict[str, Any]:
    values = {
        "_TRANSPORT": "kernel",
        "_BOOT_ID": BOOT,
        "__REALTIME_TIMESTAMP": "1767225600000000",
        "__MONOTONIC_TIMESTAMP": "12345678",
        "MESSAGE": message,
    }
    return values | fields


def exported(message: bytes) -> bytes:
    plain = "".join(f"{k}={v}\n" for k, v in entry().items() if k != "MESSAGE").encode()
    return b"__CURSOR=s=1\n" + plain + b"MESSAGE\n" + len(message).to_bytes(8, "little") + message + b"\n\n"


FORMATS = {
    "bare": XID,
    "journal json": json.dumps(entry()),
    "journal json, bytes": json.dumps(entry(list(XID.encode()))),
    "journal json, few fields": json.dumps({"MESSAGE": XID, "_BOOT_ID": BOOT, "__MONOTONIC_TIMESTAMP": "1"}),
    "journal json-seq": f"\x1e{json.dumps(entry())}",
    "journal json-sse": f"data: {json.dumps(entry())}\n",
    "journal export": exported(XID.encode()).decode("latin-1"),
    "journal short": f"Aug 17 10:00:00 gpu-1 kernel: {XID}",
    "journal short-precise": f"Aug 17 10:00:00.123456 gpu-1 kernel: {XID}",
    "journal short-iso": f"2026-08-17T10:00:00+0200 gpu-1 kernel: {XID}",
    "journal short-full": f"Mon 2026-08-17 10:00:00 UTC gpu-1 kernel: {XID}",
    "journal short-unix": f"1767225600.123456 gpu-1 kernel: {XID}",
    "journal short-monotonic": f"[   12.345678] gpu-1 kernel: {XID}",
    "journal short-full, a zone of two digits": f"Mon 2026-08-17 10:00:00 -03 gpu-1 kernel: {XID}",
    "a container's": f"2026-08-17T10:00:00.123456789Z stdout F [   12.345678] {XID}",
    "many nodes'": f"gpu-1.example.com Aug 17 10:00:00.123456 gpu-1 kernel: {XID}",
    "many nodes', dmesg -T": f"gpu-1 | [Mon Aug 17 10:00:00 2026] {XID}",
    "busybox": f"Aug 17 10:00:00 gpu-1 kern.warn kernel: [   12.345678] {XID}",
    "dmesg --color": f"\x1b[32m[   12.345678] \x1b[0m\x1b[33mNVRM: \x1b[0m{XID.removeprefix('NVRM: ')}",
    "kmsg": f"4,3973,12345678,-;{XID}\n SUBSYSTEM=pci\n DEVICE=+pci:0000:1a:00.0",
    "talos, stored": f"2026-08-17 10:00:00.123456789 +0000 UTC: kern: {XID}",
    "talos dmesg": f"172.20.1.2: kern: warning: [2026-08-17T10:00:00.123456789Z]: {XID}",
    "rsyslog": f"<4>Aug 17 10:00:00 gpu-1 kernel: [   12.345678] {XID}",
    "rsyslog, iso": f"2026-08-17T10:00:00.123456+02:00 gpu-1 kernel: [   12.345678] {XID}",
    "rfc 5424, no program named": f"<4>1 2026-08-17T10:00:00.123Z gpu-1 - - - - {XID}",
    "rfc 5424, octet count": f"137 <4>1 2026-08-17T10:00:00.123Z gpu-1 kernel - - - {XID}",
    "syslog, octet count": f"121 <4>Aug 17 10:00:00 gpu-1 kernel: [   12.345678] {XID}",
    "netconsole, release": f"6.8.0-58-generic,4,3973,12345678,-;{XID}",
    "a node's name alone": f"gpu-1: {XID}",
    "a node's name and a blank": f"gpu-1 {XID}",
    "a time and a node's name": f"2026-08-17T10:00:00Z gpu-1 {XID}",
    "rsyslog, rfc 5424": f"<4>1 2026-08-17T10:00:00.123Z gpu-1 kernel - - - {XID}",
    "dmesg": f"[   12.345678] {XID}",
    "dmesg -T": f"[Mon Aug 17 10:00:00 2026] {XID}",
    "dmesg, caller": f"[   12.345678] [  T1234] {XID}",
    "dmesg -r": f"<4>[   12.345678] {XID}",
    "dmesg --decode": f"kern  :warn  : [   12.345678] {XID}",
    "dmesg --decode --time-format iso": f"kern  :warn  : 2026-08-17T10:00:00,123456+00:00 {XID}",
}


@pytest.mark.parametrize("grep", [True, False], ids=["grep", "python"])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_is_read(name: str, tmp_path: Path, *, grep: bool) -> None:
    noise = "" if name.startswith("journal json") or "export" in name else "Started Session 1 of User root.\n"
    status, found = told(log(tmp_path, f"{noise}{FORMATS[name]}\n".encode("latin-1")), grep=grep)
    assert (status, len(found)) == (0, 1)
    one = found[0]
    assert (one["kind"], one["code"], one["bdf"]) == ("xid", 94, "0000:1a:00")
    assert (one["gpu_instance"], one["compute_instance"], one["pid"], one["process"]) == (5, 2, 41, "train")
    assert name in ("bare", "a node's name alone", "a node's name and a blank") or one["time"] is not None
    assert one["boot_id"] == (
        BOOT.replace("-", "") if name.startswith("journal") and "short" not in name else None
    )
    assert name.startswith("journal export") or one["raw"] == FORMATS[name].partition("\n")[0]


@pytest.mark.parametrize(
    "line",
    [
        f"Aug 17 10:00:00 gpu-1 monitor[12]: {XID}",
        f"2026-08-17T10:00:00+00:00 gpu-1 k8s[7]: {XID}",
        f"[   12.345678] gpu-1 monitor[12]: {XID}",
        f"12,3973,12345678,-;{XID}",
        f"<30>Aug 17 10:00:00 gpu-1 logger: {XID}",
        f"user  :warn  : [   12.345678] {XID}",
        f"172.20.1.2: user: warning: [2026-08-17T10:00:00Z]: {XID}",
        f"<30>1 2026-08-17T10:00:00Z gpu-1 gpud 12 - - {XID}",
        json.dumps(entry(_TRANSPORT="syslog")),
        json.dumps(entry(SYSLOG_FACILITY="1")),
        json.dumps({"MESSAGE": XID, "SYSLOG_IDENTIFIER": "monitor"}),
        f"I0624 22:58:05 health.go:185] saw {XID}",
        "r8169 0000:01:00.0 eth0: RTL8168, XID 609, IRQ 33",
    ],
)
def test_another_programs_echo_is_no_event(line: str, tmp_path: Path) -> None:
    quiet = (
        json.dumps(entry("Linux version 6.8.0")) if line.startswith("{") else "kernel: Linux version 6.8.0"
    )
    assert told(log(tmp_path, f"{quiet}\n{line}\n")) == (0, [])


@pytest.mark.parametrize("name", ["kernel: x", "[    1.000000] x", "h kernel: "])
@pytest.mark.parametrize("before", ["[  100.123456] ", "Dec  1 07:00:00 gpu-1 kernel: ", "kernel: "])
def test_what_a_process_calls_itself_cuts_nothing_off_the_kernels_line(before: str, name: str) -> None:
    words = f"Out of memory: Killed process 12 ({name}) total-vm:1kB"
    assert lines.of_text(before + words).message == words


@pytest.mark.parametrize("before", ["2026-08-17T10:00:00Z stdout F ", "gpu-1 ", "["])
def test_a_journals_entries_within_another_log_are_not_read_as_text(before: str, tmp_path: Path) -> None:
    """As text none of them would be the driver's, which is no sign that nothing happened."""
    status, found = told(log(tmp_path, f"{before}{json.dumps(entry())}\n"))
    assert (status, "something before each" in found[0]["error"]) == (3, True)


def test_the_rest_of_somebodys_message_is_no_event_of_its_own(tmp_path: Path) -> None:
    """What is indented goes on with what stands above it; only the driver prints so."""
    rest = "mlx5_core 0000:d2:00.0: poll_health:174: device's health compromised - reached miss count."
    assert told(log(tmp_path, f"[   12.345678] lspci said\n  {rest}")) == (0, [])
    assert told(log(tmp_path, f"12,3973,12345678,-;a program\n MESSAGE={XID}")) == (0, [])


LOST = (
    "NVRM: The NVIDIA GPU 0000:b3:00.0",
    "(PCI ID: 10de:26b5) installed in this system has",
    "fallen off the bus and is not responding to commands.",
)
WRAPPED = {
    "indented": f"[ 1843.308145] {LOST[0]}\n               NVRM: {LOST[1]}\n               NVRM: {LOST[2]}",
    "a stamp a line": "\n".join(
        f"[ 1843.30814{i}] NVRM: {t.removeprefix('NVRM: ')}" for i, t in enumerate(LOST)
    ),
    "syslog, a line each": "\n".join(
        f"Aug 17 10:00:00 n kernel: NVRM: {t.removeprefix('NVRM: ')}" for t in LOST
    ),
    "rsyslog's #012": f"Aug 17 10:00:00 n kernel: {LOST[0]}#012NVRM: {LOST[1]}#012NVRM: {LOST[2]}",
    "kmsg's escapes": f"3,1,1843308145,-;{LOST[0]}\\x0aNVRM: {LOST[1]}\\x0aNVRM: {LOST[2]}",
    "printk's levels": f"{LOST[0]}|3|NVRM: {LOST[1]}|3|NVRM: {LOST[2]}",
    "journal": json.dumps(entry(f"{LOST[0]}\nNVRM: {LOST[1]}\nNVRM: {LOST[2]}")),
}


@pytest.mark.parametrize("text", WRAPPED.values(), ids=WRAPPED)
def test_a_message_of_several_lines_is_one_event(text: str, tmp_path: Path) -> None:
    status, found = told(log(tmp_path, f"{text}\n[ 1900.000000] NVRM: Xid (PCI:0000:b3:00): 79, x\n"))
    if text.startswith("{"):
        status, found = told(log(tmp_path, text))
    assert status == 0
    assert (found[0]["kind"], found[0]["code"], found[0]["bdf"]) == (
        "signature",
        "fallen-off-bus",
        "0000:b3:00.0",
    )
    assert [f["code"] for f in found[1:]] == ([] if text.startswith("{") else [79])
    assert found[0]["raw"] == text


FABRIC = "detected NVSwitch fatal error 20034 on fid 0 on NVSwitch pci bus id 00000000:86:00.0 physical id 3 port 33"


@pytest.mark.parametrize(
    "line",
    [
        f"[Jul 23 2024 07:53:55] [ERROR] [tid 841] {FABRIC}",
        f"Jul 23 07:53:55 gpu-1 nv-fabricmanager[7]: {FABRIC}",
        json.dumps(entry(FABRIC, _TRANSPORT="syslog", _SYSTEMD_UNIT="nvidia-fabricmanager.service")),
    ],
)
def test_the_fabric_managers_lines_are_the_switchs(line: str, tmp_path: Path) -> None:
    status, found = told(log(tmp_path, line))
    assert (status, len(found)) == (0, 1)
    one = found[0]
    assert (one["kind"], one["code"], one["bdf"], one["link"]) == ("sxid", 20034, "0000:86:00.0", 33)
    assert one["source"] == "fabric-manager"


@pytest.mark.parametrize("words", [FABRIC[:40], FABRIC.replace("fid 0", "fabric 0")])
def test_a_fabric_managers_error_that_can_not_be_read_is_for_a_human(words: str, tmp_path: Path) -> None:
    _, (one,) = told(log(tmp_path, f"[Jul 23 2024 07:53:55] [ERROR] [tid 841] {words}"))
    assert (one["kind"], one["action"], one["source"]) == ("unread", "hold", "fabric-manager")


def test_a_flood_is_counted_and_what_is_apart_is_told_apart(tmp_path: Path) -> None:
    flood = "".join(f"[{100 + i / 1000:12.6f}] {XID}\n" for i in range(5000))
    status, found = told(log(tmp_path, f"{flood}[  900.000000] {XID}\n"))
    assert (status, [f["count"] for f in found]) == (0, [5000, 1])
    assert (found[0]["time"], found[0]["last"], found[1]["time"]) == (100.0, 104.999, 900.0)


def test_events_stay_in_their_order(tmp_path: Path) -> None:
    text = "".join(f"[{i:12.6f}] NVRM: Xid (PCI:0000:1a:00): {31 + i % 3}, x\n" for i in range(60))
    found = told(log(tmp_path, text))[1]
    times = [f["time"] for f in found]
    assert times == sorted(times)
    assert sum(f["count"] for f in found) == 60


def test_the_command_prints_and_exits(tmp_path: Path) -> None:
    """As it is called on a node: the standard library, another process, no environment."""
    path = log(tmp_path, XID)
    call = [sys.executable, "-S", "-m", "knowngood.probe", "kernel-log", "--file"]
    environment = {"PYTHONPATH": str(ROOT / "runner")}  # no PATH: no grep either
    done = subprocess.run([*call, str(path)], check=False, capture_output=True, text=True, env=environment)
    assert (done.returncode, json.loads(done.stdout)["raw"], done.stderr) == (0, XID, "")
    away = subprocess.run([*call, "/nowhere"], check=False, capture_output=True, text=True, env=environment)
    assert (away.returncode, away.stderr) == (3, "")
    assert "/nowhere" in json.loads(away.stdout)["error"]
