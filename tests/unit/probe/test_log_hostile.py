"""A log that is broken, hostile or growing: it is read, or said not to be; nothing hangs and nothing is passed over."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from knowngood.probe.kernel_log import command, files

from .test_kernel_log import FORMATS, ROOT, WRAPPED, XID, entry, exported, log, told
from .test_log_signatures import REAL


@pytest.mark.parametrize(
    "line",
    [
        f"NVRM: Xid (PCI:0000:1a:00): {'9' * 5000}, x",
        f"NVRM: Xid (PCI:0000:1a:00): 31, pid={'9' * 5000}, name=x, y",
        f"NVRM: Xid (PCI:0000:1a:00 GPU-I:{'9' * 5000}): 31, x",
        f"NVRM: Xid (PCI:0000:1a:00): 45, Ch 1 caused by previous Xid {'9' * 5000}",
        f"nvidia-nvswitch0: SXid (PCI:0000:06:00.0): {'9' * 5000}, Fatal, Link 1",
        f"nvidia-nvswitch0: SXid (PCI:0000:06:00.0): 20034, Fatal, Link {'9' * 5000}",
        f"4,1,{'9' * 5000},-;NVRM: Xid (PCI:0000:1a:00): 31, x",
        "[nan] NVRM: Xid (PCI:0000:1a:00): 31, x",
    ],
)
def test_a_number_without_end_loses_no_other_line(line: str, tmp_path: Path) -> None:
    status, found = told(log(tmp_path, f"{line}\n{XID}\n"))
    assert (status, found[-1]["code"]) == (0, 94)
    assert "NaN" not in json.dumps(found)


HOSTILE = {
    "binary junk": bytes(range(256)) * 400,
    "a hole after a power cut": f"[    1.000000] {XID}\n".encode() + b"\0" * 4096 + b"\n[    2.000000] end\n",
    "a journal that is cut off": f"{json.dumps(entry())}\n{json.dumps(entry())[:90]}".encode(),
    "a broken entry": f'{json.dumps(entry())}\n{{"MESSAGE": NVRM: Xid}}\n{json.dumps(entry())}\n'.encode(),
    "no number": json.dumps(entry(__MONOTONIC_TIMESTAMP="x")).encode(),
    "digits without end": json.dumps(entry(__MONOTONIC_TIMESTAMP="9" * 100_000)).encode(),
    "deep": b'{"MESSAGE": "NVRM: x"' + b', "a": [' * 50_000,
    "an export that ends in a field": exported(XID.encode())[:-40],
    "json-pretty": json.dumps(entry(), indent=1).encode(),
    "verbose": f"Mon 2026-08-17 10:00:00 UTC [s=1;i=2]\n    _TRANSPORT=kernel\n    MESSAGE={XID}\n".encode(),
    "compressed": b"\x1f\x8b\x08\x00" + b"x" * 100,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("grep", [True, False], ids=["grep", "python"])
def test_what_cannot_be_read_is_said(data: bytes, tmp_path: Path, *, grep: bool) -> None:
    status, found = told(log(tmp_path, data), grep=grep)
    assert status == 3
    assert set(found[-1]) == {"error"}


def test_an_error_beside_what_cannot_be_read_is_still_told(tmp_path: Path) -> None:
    found = told(log(tmp_path, HOSTILE["a hole after a power cut"]))[1]
    assert [f.get("code") for f in found] == [94, None]


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to("loop")
    for name in ("fifo", "loop", "missing", ".", "bad\0name"):
        status, found = told(tmp_path / name)
        assert (status, list(found[-1])) == (3, ["error"]), name


@pytest.mark.parametrize("grep", [True, False], ids=["grep", "python"])
def test_long_lines_and_bytes_that_are_no_text_are_read(tmp_path: Path, *, grep: bool) -> None:
    long = f"[    1.000000] {XID} {'y' * 1_000_000}"
    cut = b"[    2.000000] NVRM: Xid (PCI:0000:1a:00): 31, pid=7, name=caf\xc3, Ch 1"
    blanks = b"[    3.000000] NVRM: " + b" " * 1_000_000 + b"x"
    data = b"\n".join([long.encode(), cut, blanks, b"\xe2\x82"])
    status, found = told(log(tmp_path, data), grep=grep)
    assert (status, [f["code"] for f in found]) == (0, [94, 31])
    assert (found[0]["raw"], found[1]["process"]) == (long, "caf\ufffd")


PIECES = [
    *(f"{text}\n".encode("latin-1") for text in (*FORMATS.values(), *WRAPPED.values(), *REAL)),
    *(
        b"\0",
        b"\n",
        b"\xff\xfe",
        b"{",
        b'{"MESSAGE":',
        b"[",
        b"\\x0a",
        b"#012",
        b"__CURSOR=x\n",
        b"MESSAGE\n",
    ),
]


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=40)), max_size=12))
def test_whatever_a_file_holds_it_is_read_or_said(tmp_path: Path, pieces: list[bytes]) -> None:
    status, found = told(log(tmp_path, b"".join(pieces)), grep=False)
    assert status in (0, 3)
    assert ("error" in found[-1] if found else False) == (status == 3)
    assert "the parser broke" not in str(found[-1:])


LONG = {
    "without an end": b"NVRM: " + b"x" * (24 << 20),
    "of junk": bytes(range(1, 256)) * (24 << 12),
    "in a journal": b'{"MESSAGE": "NVRM: ' + b"x" * (24 << 20) + b'"}',
}


@pytest.mark.parametrize("grep", [[], ["--no-grep"]], ids=["grep", "python"])
@pytest.mark.parametrize("data", LONG.values(), ids=LONG)
def test_a_line_of_any_length_fits_into_the_memory(data: bytes, grep: list[str], tmp_path: Path) -> None:
    """With 300 MB of address space: the interpreter's own, and grep's, which takes a line whole."""
    path = log(tmp_path, data)
    os.utime(path, (0, 0))  # else grep would not be asked
    call = [sys.executable, "-S", "-m", "knowngood.probe", "kernel-log", "--file", str(path), *grep]

    def little() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (300 << 20, 300 << 20))

    done = subprocess.run(
        call,
        check=False,
        capture_output=True,
        env={"PYTHONPATH": str(ROOT / "runner"), "PATH": os.environ["PATH"]},
        preexec_fn=little,
        timeout=60,
    )
    assert (done.returncode in (0, 3), done.stderr) == (True, b"")
    assert b"the parser broke" not in done.stdout


@pytest.mark.parametrize("text", [f"[    1.000000] {XID}\n", exported(XID.encode()).decode("latin-1")])
def test_a_log_that_grows_while_it_is_read_ends(tmp_path: Path, text: str) -> None:
    """Whoever writes faster than we read must not keep us for ever."""
    path = log(tmp_path, (text * 20_000).encode("latin-1"))
    written = 0

    def grow(_record: str) -> None:
        nonlocal written
        written += 1
        with path.open("ab") as file:
            file.write((text * 2000).encode("latin-1"))

    told_apart = [f"[{i * 100:12.6f}] {XID}\n" for i in range(200)]
    if text.startswith("["):
        path.write_text("".join(told_apart))
    assert command.run(path, grow) == 0
    assert written == (200 if text.startswith("[") else 1)


@pytest.mark.parametrize("tools", ["head grep", "grep", ""])
def test_of_a_file_that_was_just_written_what_it_had_is_searched(
    tools: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """grep alone reads to wherever the end is by then."""
    path = log(tmp_path, f"{XID}\nmore\n")
    size = path.stat().st_size
    path.write_text(path.read_text() + f"later {XID}\n")
    monkeypatch.setattr("shutil.which", lambda tool: f"/usr/bin/{tool}" if tool in tools.split() else None)
    assert list(files.matching(path, size)) == [XID]
