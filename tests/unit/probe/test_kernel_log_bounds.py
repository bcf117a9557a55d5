"""`kernel-log`: where a flood ends, whose line it is, what has a time; and all that is told of an event."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from knowngood.probe.kernel_log import files, lines, reading

from .test_kernel_log import BOOT, XID, entry, exported, log, told


@pytest.mark.parametrize(
    ("line", "number"),
    [
        (f"7,1,12345678,-;{XID}", 1),
        (f"8,1,12345678,-;{XID}", 0),
        (f"<7>[   12.345678] {XID}", 1),
        (f"<8>[   12.345678] {XID}", 0),
        (f"<0>Aug 17 10:00:00 gpu-1 kernel: {XID}", 1),
        (f"<14>Aug 17 10:00:00 gpu-1 kernel: {XID}", 0),
    ],
)
def test_from_priority_8_on_another_facility_than_the_kernel_wrote_it(
    line: str, number: int, tmp_path: Path
) -> None:
    """syslog(2): eight levels of each facility, the kernel's first."""
    status, events = told(log(tmp_path, line + "\n"))
    assert (status, len(events)) == (0, number)


def test_a_time_of_the_log_is_a_time_of_the_event(tmp_path: Path) -> None:
    for line, seconds in (
        (f"[    0.000000] {XID}", "0"),
        (f"[   12.345678] {XID}", "12.345678"),
        (f"4,3973,12345678,-;{XID}", "12.345678"),
    ):
        _, (event,) = told(log(tmp_path, line + "\n"))
        assert str(event["time"]).startswith(seconds), event


@pytest.mark.parametrize(("apart", "counts"), [(10.0, [3]), (10.5, [1, 1, 1])])
def test_the_same_message_within_ten_seconds_of_its_last_is_one_flood(
    apart: float, counts: list[int], tmp_path: Path
) -> None:
    text = "".join(f"[{100 + n * apart:12.6f}] {XID}\n" for n in range(3))
    _, found = told(log(tmp_path, text))
    assert [f["count"] for f in found] == counts
    assert (found[0]["time"], found[-1]["last"]) == (100.0, 100 + 2 * apart)


def test_where_a_log_has_no_seconds_a_flood_is_of_one_minute(tmp_path: Path) -> None:
    stamps = ("10:00:00", "10:00:59", "10:01:00")
    text = "".join(f"2026-08-17T{stamp}+0200 gpu-1 kernel: {XID}\n" for stamp in stamps)
    assert [f["count"] for f in told(log(tmp_path, text))[1]] == [2, 1]
    text = "".join(f"Aug 17 10:00:0{n // 2} gpu-1 kernel: {XID}\n" for n in range(4))
    assert [f["count"] for f in told(log(tmp_path, text))[1]] == [2, 2], "a syslog's, of one second"
    assert [f["count"] for f in told(log(tmp_path, f"{XID}\n" * 3))[1]] == [3], "none has a time"
    mixed = f"{XID}\nAug 17 10:00:00 gpu-1 kernel: {XID}\n"
    assert [f["count"] for f in told(log(tmp_path, mixed))[1]] == [1, 1]


def test_one_message_in_two_boots_is_two(tmp_path: Path) -> None:
    lines = [json.dumps(entry(_BOOT_ID=boot)) for boot in (BOOT, BOOT, BOOT.replace("a", "b"))]
    assert [f["count"] for f in told(log(tmp_path, "\n".join(lines)))[1]] == [2, 1]


def test_all_that_is_known_of_an_event_is_told(tmp_path: Path) -> None:
    _, (found,) = told(log(tmp_path, f"[   12.345678] {XID}\n"))
    wanted = {"kind": "xid", "code": 94, "bdf": "0000:1a:00", "gpu_instance": 5, "compute_instance": 2}
    wanted |= {
        "pid": 41,
        "process": "train",
        "time": 12.345678,
        "last": 12.345678,
        "count": 1,
        "action": "app",
    }
    assert {key: found[key] for key in wanted} == wanted
    unknown = XID.replace("name=train", "name=<unknown>").replace("pid=41", "pid='<unknown>'")
    _, (found,) = told(log(tmp_path, unknown))
    assert (found["pid"], found["process"], found["time"]) == (None, None, None)


def test_what_an_earlier_error_caused_names_it(tmp_path: Path) -> None:
    cause = (
        "NVRM: Xid (PCI:0000:1a:00): 45, pid=7, name=x, Ch 00000008, errorString CTX SWITCH TIMEOUT, Info 0x1"
    )
    _, (found,) = told(log(tmp_path, cause))
    assert (found["code"], found["previous_xid"]) == (45, None)
    asked = "NVRM: Xid (PCI:0000:1a:00): 154, GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)"
    _, (found,) = told(log(tmp_path, asked))
    assert (found["code"], found["recovery_action"], found["action"]) == (154, 1, "reset")


@pytest.mark.parametrize("inside", ["1.2.3", "nan", "inf", "-1.5", "12e9999", "."])
def test_brackets_that_hold_no_time_hide_no_event(inside: str, tmp_path: Path) -> None:
    _, found = told(log(tmp_path, f"[{inside}] {XID}\n[   12.345678] {XID}\n"))
    assert found[-1]["code"] == 94
    assert all(event["kind"] == "xid" for event in found)


def test_a_journals_bytes_are_all_bytes() -> None:
    assert lines.text_of([78, 0, 86, 255, 256, -1, "x", 33]) == "N\0V\ufffd!"
    assert [lines.text_of(one) for one in (None, "", 5, ["a", "b"], [])] == ["", "", "5", "a", ""]


@pytest.mark.parametrize("field", [b"", b"\n", b"x" * 10, b"x" * 0x0A0A, b"a\nb\n", b"\n" * 300])
def test_a_field_of_an_export_ends_where_its_length_says(field: bytes, tmp_path: Path) -> None:
    """Its length may hold line feeds itself: 10 bytes, 2570 bytes. What comes after is the next field."""
    binary = b"_CMDLINE\n" + len(field).to_bytes(8, "little") + field + b"\n"
    text = exported(XID.encode()).replace(b"MESSAGE\n", binary + b"MESSAGE\n")
    status, found = told(log(tmp_path, text))
    assert (status, [(f["kind"], f["code"]) for f in found]) == (0, [("xid", 94)])
    assert found[0]["boot_id"] == BOOT.replace("-", "")


@pytest.mark.parametrize("kept", [3, 8, 20])
def test_an_export_that_ends_within_a_field_is_not_read_to_its_end(kept: int, tmp_path: Path) -> None:
    whole = exported(XID.encode())
    at = whole.index(b"MESSAGE\n") + len(b"MESSAGE\n")
    status, found = told(log(tmp_path, whole[: at + kept]))
    assert (status, "ends within" in found[-1]["error"]) == (3, True)


@pytest.mark.parametrize(
    ("name", "words"), [("none", "No such file"), (".", "no regular file"), ("x\0y", "null byte")]
)
def test_what_is_no_file_says_why(name: str, words: str, tmp_path: Path) -> None:
    status, found = told(tmp_path / name)
    assert (status, len(found), words in found[0]["error"]) == (3, 1, True), found


@pytest.mark.parametrize(
    "reader",
    [
        files.head,
        lambda path: [*files.every(path, 5)],
        lambda path: [*files.kmsg(path)],
        files.holes,
        lambda path: files._grep(path, 5),
        lambda path: [*files._searched(path, 5)],
    ],
)
def test_a_log_that_is_gone_while_it_is_read_is_said_to_be(reader: Callable[[Path], object]) -> None:
    """As a rotation does it: each part of the reading opens it anew."""
    with pytest.raises(files.CannotReadError, match="/nowhere/log: No such file"):
        reader(Path("/nowhere/log"))


def test_the_ring_buffers_records_are_read_until_there_are_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    left = [b"6,1,1,-;one\n SUBSYSTEM=pci\n", b"6,2,2,-;two\n"]

    def read(_ring: int, _size: int) -> bytes:
        if not left:
            raise BlockingIOError
        return left.pop(0)

    monkeypatch.setattr(os, "read", read)
    assert [*files.kmsg(Path("/dev/null"))] == [b"6,1,1,-;one", b"6,2,2,-;two"]


def test_grep_is_asked_where_it_is_there(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It takes a fraction of the time; of what was just written head cuts off what came since."""
    path = log(tmp_path, "x")
    for tools, commands in (
        ({"grep", "head"}, ["head", "grep"]),
        ({"grep"}, None),
        ({"head"}, None),
    ):
        monkeypatch.setattr("shutil.which", lambda tool, there=tools: tool if tool in there else None)
        found = files._grep(path, 1)
        assert found is None if commands is None else [one[0] for one in found or ()] == commands
    os.utime(path, (0, 0))
    monkeypatch.setattr("shutil.which", lambda tool: tool)
    assert [one[0] for one in files._grep(path, 1) or ()] == ["grep"]


@pytest.mark.parametrize("text", ["-- No entries --\n", "-- Boot 1 --\n\n-- No entries --\n"])
def test_a_log_without_an_entry_is_read_to_its_end(text: str, tmp_path: Path) -> None:
    assert told(log(tmp_path, text)) == (0, [])


def test_how_much_could_not_be_read_is_counted(tmp_path: Path) -> None:
    whole = json.dumps(entry())
    for broken, number in (([], 0), (["{NVRM: x}"], 1), (["{NVRM: x}", "{NVRM: y}"], 2)):
        status, found = told(log(tmp_path, "\n".join([whole, *broken, whole])))
        assert (status, sum(f.get("kind") == "xid" for f in found)) == (3 if number else 0, 1 + bool(number))
        assert not number or found[-1]["error"].startswith(f"{number} part(s) can't be read")


def wrapped(*words: str, indent: str = "") -> str:
    return "\n".join(f"{indent if n else '[    1.000000] '}NVRM: {text}" for n, text in enumerate(words))


def test_a_message_of_two_lines_is_one(tmp_path: Path) -> None:
    text = wrapped("The NVIDIA GPU 0000:b3:00.0", "fallen off the bus and is not responding", indent=" " * 15)
    _, found = told(log(tmp_path, text))
    assert [(one["code"], one["raw"]) for one in found] == [("fallen-off-bus", text)]


def test_an_indented_line_goes_on_whatever_the_line_before_it_ends_with(tmp_path: Path) -> None:
    text = wrapped("The NVIDIA GPU 0000:b3:00.0 failed.", "GPU has fallen off the bus", indent=" " * 15)
    _, found = told(log(tmp_path, text))
    assert [one["raw"] for one in found] == [text]


def test_a_message_of_the_driver_has_six_lines_at_most() -> None:
    text = wrapped("The NVIDIA GPU 0000:b3:00.0", *["and so on"] * 8, indent=" " * 15).split("\n")
    assert next(reading._text(text)).raw == "\n".join(text[:6])


def test_a_flood_may_begin_with_the_boot(tmp_path: Path) -> None:
    """Its first second counts as any other."""
    for later, counts in ((10.0, [2]), (10.5, [1, 1])):
        text = f"[    0.000000] {XID}\n[{later:12.6f}] {XID}\n"
        assert [f["count"] for f in told(log(tmp_path, text))[1]] == counts
