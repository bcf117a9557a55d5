"""What a probe reads, keeps and says is bounded: at the bound it is taken, beyond it is said that it is not."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

import pytest

from knowngood.probe import __main__ as probe
from knowngood.probe import child, files, isolation
from knowngood.probe.answer import LONGEST, MOST_WORDS, bad, checked, good, percentile, unmeasured
from knowngood.probe.host import LARGEST, Host
from knowngood.probe.kernel_log import files as log_files
from knowngood.probe.kernel_log.files import CannotReadError

from .test_isolation import CHILD, watched


@pytest.mark.parametrize(
    ("text", "seconds"), [("0.5", 0.5), ("999999", 999999.0), ("0", None), ("1e6", None), ("nan", None)]
)
def test_a_deadline_is_a_number_of_seconds(text: str, seconds: float | None) -> None:
    if seconds is None:
        with pytest.raises(argparse.ArgumentTypeError, match="not a number of seconds"):
            probe._seconds(text)
    else:
        assert probe._seconds(text) == seconds


@pytest.mark.parametrize(("spare", "kept"), [(0, True), (-1, False)])
def test_last_words_may_fill_the_termination_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spare: int, kept: bool
) -> None:
    """The kubelet keeps 4096 bytes of it: kubernetes.io, "Determine the Reason for Pod Failure"."""
    assert probe.LONGEST_ANSWER == 4096
    said = tmp_path / "termination-log"
    options = argparse.Namespace(root=tmp_path, answer=said, payloads=[])
    documents = probe._Documents(options)
    empty = len(probe._text({"x": ""}))
    documents._say({"x": "y" * (probe.LONGEST_ANSWER - empty - spare)})
    assert bool(said.read_bytes()) is kept


def test_what_could_not_be_read_is_named_twenty_files_long() -> None:
    body = "host.unread.update({str(n): 'x' for n in range(25)}); return {'ok': True, 'measured': {}}"
    found, _ = watched(CHILD.format(body=body))
    assert (found["ok"], len(found["measured"][child.UNREAD])) == (True, 20)
    worse, _ = watched(CHILD.format(body=body.replace("True", "False")))
    assert (worse["ok"], "can't be read" in worse["reason"]) == (None, True)


def test_an_answer_may_have_a_megabyte_and_no_more() -> None:
    empty = len(json.dumps(good("", {"x": ""})))
    assert checked(good("", {"x": "y" * (LONGEST - empty)}))["ok"] is True
    longer = checked(good("", {"x": "y" * (LONGEST - empty + 1)}))
    assert (longer["ok"], f"{LONGEST + 1} bytes, more than {LONGEST}" in longer["reason"]) == (None, True)
    assert LONGEST == 1024 * 1024


def test_a_reason_fits_beside_the_figures() -> None:
    for told in (bad("", "y" * 9999), unmeasured("", "y" * 9999)):
        assert len(told["reason"]) == MOST_WORDS == 1500


def test_64_kib_of_a_payloads_talk_are_logged() -> None:
    """The kubelet rotates a long log, and the answers would go with it."""
    _, log = watched("[print('y' * 99) for _ in range(2000)]")
    assert 64 * 1024 - 100 <= 100 * log.count("x| ") < 64 * 1024
    assert isolation.MOST_LOGGED == 64 * 1024


def test_the_reason_has_the_last_three_lines_of_its_talk() -> None:
    found, _ = watched("[print(n, 'y' * 200) for n in range(5)]")
    said = found["reason"].partition("it said: ")[2].split(" / ")
    assert [line[0] for line in said] == ["2", "3", "4"]
    assert {len(line) for line in said} == {isolation.LINE} == {160}


def test_a_signal_without_a_name_has_its_number() -> None:
    assert isolation._end_of(-99, killed=False) == "it was killed by signal 99"
    assert isolation._end_of(0, killed=False) == "it ended with exit code 0 and no answer"
    assert "out of memory" in isolation._end_of(-9, killed=True)


def test_a_file_may_be_as_long_as_asked_and_one_byte_more_is_said(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 100_000)
    assert files.read(tmp_path, "f", 100_000) == b"x" * 100_000
    with pytest.raises(files.Unreadable, match="longer than 99999 bytes"):
        files.read(tmp_path, "f", 99_999)


def test_forty_links_are_followed_as_linux_does(tmp_path: Path) -> None:
    (tmp_path / "l0").write_text("here")
    for n in range(1, 42):
        (tmp_path / f"l{n}").symlink_to(f"l{n - 1}")
    assert files.read(tmp_path, "l40", 10) == b"here"
    with pytest.raises(files.Unreadable, match="loop of links"):
        files.read(tmp_path, "l41", 10)


def test_a_folder_may_have_ten_thousand_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert files.MOST_NAMES == 10_000
    monkeypatch.setattr(files, "MOST_NAMES", 3)
    for name in "abc":
        (tmp_path / name).touch()
    assert files.names(tmp_path, "") == ["a", "b", "c"]
    (tmp_path / "d").touch()
    with pytest.raises(files.Unreadable, match="more than 3 entries"):
        files.names(tmp_path, "")


@pytest.mark.parametrize(
    ("text", "value"),
    [("18446744073709551615", 2**64 - 1), ("18446744073709551616", None), ("4294967295", 2**32 - 1)],
)
def test_a_counter_has_64_bits_at_most(tmp_path: Path, text: str, value: int | None) -> None:
    (tmp_path / "c").write_text(text)
    host = Host(tmp_path)
    assert host.number("c") == value
    assert (host.unread == {}) is (value is not None)
    assert LARGEST == 2**64 - 1


def test_a_list_of_the_kernels_symbols_may_have_sixty_four_mebibytes(tmp_path: Path) -> None:
    """A kernel's has some 15; of more it is said that it can't be read."""
    listed, host = tmp_path / "kallsyms", Host(tmp_path)
    listed.write_text("ffff t x\nffff t ib_umem_dmabuf_get\n")
    for size, lines in ((64 << 20, ["ffff t ib_umem_dmabuf_get"]), ((64 << 20) + 1, None)):
        os.truncate(listed, size)  # the rest is a hole
        assert host.matching("kallsyms", ["ib_umem_dmabuf_get"]) == lines
    assert host.unread == {"kallsyms": f"longer than {64 << 20} bytes"}


def test_records_that_the_kernel_dropped_while_they_were_read_are_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answers: list[bytes | OSError] = [b"6,1,1,-;one\n", BrokenPipeError(), b"6,3,3,-;x\n", BlockingIOError()]

    def read(_ring: int, _size: int) -> bytes:
        answer = answers.pop(0)
        if isinstance(answer, OSError):
            raise answer
        return answer

    monkeypatch.setattr(os, "read", read)
    told = log_files.kmsg(Path("/dev/null"))
    assert next(told) == b"6,1,1,-;one"
    with pytest.raises(CannotReadError, match="the kernel dropped records"):
        next(told)


def test_a_payload_has_five_minutes_unless_told_otherwise() -> None:
    assert probe._parser().parse_args(["run", "rdma"]).deadline == 300.0


def test_who_is_told_to_end_says_by_which_signal() -> None:
    """128 + 15, as a shell tells it."""
    with pytest.raises(SystemExit) as ended:
        probe._interrupted(15, None)
    assert ended.value.code == 143


def test_an_answer_without_words_has_none_and_no_values_have_the_percentile_0() -> None:
    assert checked({"ok": True, "measured": {}}) == {"ok": True, "backend": "", "reason": "", "measured": {}}
    assert percentile([], 99) == 0.0


def test_what_is_no_boot_id_or_version_is_none_and_is_said(tmp_path: Path) -> None:
    host = Host(tmp_path)
    for path in ("proc/sys/kernel/random/boot_id", "sys/module/nvidia/version"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text("/junk/\n")
    assert (host.boot_id(), host.module_version(), len(host.unread)) == ("", "", 2)


def test_a_long_files_line_is_whole_unless_it_is_longer_than_any(tmp_path: Path) -> None:
    """Its first line, too."""
    host = Host(tmp_path)
    for before, line in (("ffff t ", "ffff t linux_banner"), ("x " * 3000, "linux_banner")):
        for first in ("", "\n", "ffff t other\n"):
            (tmp_path / "kallsyms").write_text(f"{first}{before}linux_banner\nffff t more\n")
            assert host.matching("kallsyms", ["linux_banner"]) == [line]


def test_a_links_way_up_is_from_the_folder_that_has_it(tmp_path: Path) -> None:
    """As sysfs has it: `device -> ../../devices/...`."""
    (tmp_path / "class/net/eth0").mkdir(parents=True)
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices/state").write_text("up")
    (tmp_path / "class/net/eth0/device").symlink_to("../../../devices")
    (tmp_path / "class/beside").symlink_to("../devices/state")
    assert files.read(tmp_path, "class/net/eth0/device/state", 10) == b"up"
    assert files.read(tmp_path, "class/beside", 10) == b"up"
