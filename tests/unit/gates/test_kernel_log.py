"""Which kernel lines belong to a window, and when their absence means nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from knowngood.gate.kernel_log import Fetch, KernelLog, read
from knowngood.model.context import Window
from knowngood.model.errors import Unreachable

NOW, BEFORE, LONG_AGO = "a" * 32, "b" * 32, "c" * 32


def entry(seconds: float, message: Any = "NVRM: x", boot: str = NOW, **fields: Any) -> str:
    values = {
        "_TRANSPORT": "kernel",
        "_BOOT_ID": boot,
        "__MONOTONIC_TIMESTAMP": str(int(seconds * 1e6)),
        "SYSLOG_FACILITY": "0",
        "MESSAGE": message,
    }
    return json.dumps(values | fields)


def journal(boots: Mapping[int, list[str]]) -> Fetch:
    return lambda boot: "\n".join(boots.get(boot, []))


def seconds(log: KernelLog) -> list[float]:
    return [line.monotonic for line in log.lines]


def test_only_lines_since_the_window_opened_count() -> None:
    log = read(journal({0: [entry(1), entry(50), entry(51)]}), Window(NOW, 50.0, ""), NOW)
    assert (seconds(log), log.trouble) == ([50.0, 51.0], "")


def test_boot_ids_are_the_same_with_and_without_dashes() -> None:
    dashed = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa"
    log = read(journal({0: [entry(60)]}), Window(dashed, 50.0, ""), dashed)
    assert (seconds(log), log.trouble) == ([60.0], "")


def test_after_a_reboot_all_later_boots_count_whole() -> None:
    boots = {0: [entry(1)], -1: [entry(10, boot=BEFORE), entry(99, boot=BEFORE)]}
    log = read(journal(boots), Window(BEFORE, 50.0, ""), NOW)
    assert (seconds(log), log.trouble, log.boots) == ([99.0, 1.0], "", 2)


def test_a_boot_in_which_the_window_opened_and_that_is_gone_is_trouble() -> None:
    log = read(journal({0: [entry(1)]}), Window(LONG_AGO, 50.0, ""), NOW)
    assert "is gone" in log.trouble


def test_without_a_window_the_present_boot_counts() -> None:
    log = read(journal({0: [entry(1)], -1: [entry(2, boot=BEFORE)]}), None, NOW)
    assert seconds(log) == [1.0]


@pytest.mark.parametrize("lines", [[], ["-- No entries --"], [entry(1, _TRANSPORT="syslog")]])
def test_no_kernel_line_at_all_is_trouble(lines: list[str]) -> None:
    assert "no line of the present boot" in read(journal({0: lines}), None, NOW).trouble


def test_a_log_that_ends_before_the_present_boot_is_trouble() -> None:
    log = read(journal({0: [entry(5, boot=BEFORE)]}), Window(BEFORE, 1.0, ""), NOW)
    assert "no line of the present boot" in log.trouble


def test_lines_of_others_do_not_count() -> None:
    """A process may write into the kernel's buffer: its facility gives it away."""
    lines = [
        entry(1),
        entry(2, _TRANSPORT="stdout"),
        entry(3, SYSLOG_FACILITY="1"),
        entry(4, _TRANSPORT="syslog"),
    ]
    assert seconds(read(journal({0: lines}), None, NOW)) == [1.0]


def test_lines_that_journald_lost_are_trouble() -> None:
    lost = entry(2, "Missed 12 kernel messages", _TRANSPORT="driver", SYSLOG_IDENTIFIER="systemd-journald")
    assert read(journal({0: [entry(1), lost]}), None, NOW).trouble == "journald lost kernel lines"


def test_the_kernels_own_time_decides_not_journalds() -> None:
    late = entry(60, _SOURCE_MONOTONIC_TIMESTAMP=str(40_000_000))
    assert seconds(read(journal({0: [late, entry(61)]}), Window(NOW, 50.0, ""), NOW)) == [61.0]


def test_bytes_that_are_no_text_are_read() -> None:
    log = read(journal({0: [entry(1, [78, 86, 255, 300])]}), None, NOW)
    assert log.lines[0].message.startswith("NV")


@pytest.mark.parametrize(
    "text", ["not json", "[]", '{"_TRANSPORT": "kernel"}', entry(1, __MONOTONIC_TIMESTAMP="x")]
)
def test_an_answer_that_is_no_journal_is_trouble(text: str) -> None:
    assert "can't be understood" in read(lambda _boot: text, None, NOW).trouble


def test_an_endpoint_that_does_not_answer_is_trouble() -> None:
    def fetch(_boot: int) -> str:
        raise Unreachable("no answer")

    assert "can't be read" in read(fetch, None, NOW).trouble


@pytest.mark.parametrize("mark", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c", "\r"])
def test_only_a_line_feed_ends_an_entry(mark: str) -> None:
    """A tenant's process name may hold any other mark of Unicode, and must not keep a node from being judged."""
    whole = json.loads(entry(2, "NVRM: name=x"))
    whole["MESSAGE"] = message = f"NVRM: name=a{mark}b"
    text = json.dumps(whole, ensure_ascii=False)
    log = read(journal({0: [entry(1), text, entry(3), ""]}), None, NOW)
    assert (seconds(log), log.trouble) == ([1.0, 2.0, 3.0], "")
    assert log.lines[1].message == message
