"""Which kernel lines belong to a window, and when their absence means nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from knowngood.adapters.cluster.journals import COUNT, LAST
from knowngood.gate.kernel_log import Before, Fetch, KernelLog, Line, earlier_of, parse, read, within
from knowngood.model.context import Span, Window
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


NO_TIMES: tuple[Any, ...] = ("x", "-1", ["1"], {}, "9" * 400)


def test_a_kernel_line_whose_words_the_journal_left_out_is_trouble() -> None:
    """As journalctl does with more than 4 KiB of them."""
    assert "left out" in read(journal({0: [entry(1, None), entry(2)]}), None, NOW).trouble


@pytest.mark.parametrize(
    "text",
    [
        *("not json", "[]", "[" * 100_000, '{"_TRANSPORT": "kernel"}'),
        *(entry(1, __MONOTONIC_TIMESTAMP=time) for time in NO_TIMES),
        entry(1, __REALTIME_TIMESTAMP=["1"]),
    ],
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


FIRST = entry(0.0, "Linux version 5.14.0-427.el9_4.x86_64")
BANNER = entry(40, "NVRM: loading NVIDIA UNIX Open Kernel Module for x86_64  580.173.02  Release Build")


def opened_at(moment: float, *lines: str, before: Before | None = None) -> KernelLog:
    return read(journal({0: list(lines)}), Window(NOW, moment, ""), NOW, before)


def test_a_journal_vacuumed_inside_the_window_is_told() -> None:
    """An Xid 79 between the opening and the oldest line that is left would be lost in silence."""
    log = opened_at(50, entry(70), entry(80))
    assert log.trouble == ""
    assert "begins at 70.0 s, after the window opened at 50.0 s" in log.late


@pytest.mark.parametrize("older", [FIRST, BANNER, entry(50)], ids=["first line", "banner", "that moment"])
def test_a_line_at_or_before_the_opening_proves_that_the_log_reaches_back(older: str) -> None:
    assert opened_at(50, older, entry(70)).late == ""


def test_of_a_whole_boot_its_first_line_must_be_there() -> None:
    assert opened_at(0, FIRST, entry(70)).late == ""
    assert "begins at 40.0 s" in opened_at(0, BANNER, entry(70)).late
    assert "begins at 40.0 s" in read(journal({0: [BANNER, entry(70)]}), None, NOW).late


def test_a_process_cannot_pretend_the_first_line() -> None:
    forged = entry(60, "Linux version 5.14.0", _TRANSPORT="stdout")
    assert "begins at 70.0 s" in opened_at(50, forged, entry(70)).late


def test_any_older_line_of_the_boot_proves_it_where_the_drivers_were_silent() -> None:
    """The filter lets only the drivers' lines through; one unfiltered question finds the others."""
    asked: list[float] = []

    def before(moment: float) -> str:
        asked.append(moment)
        return entry(49, "audit: something", _TRANSPORT="audit")

    assert opened_at(50, entry(70), before=before).late == ""
    assert asked == [50]


@pytest.mark.parametrize(
    "answer", ["-- No entries --", entry(49, boot=BEFORE), entry(51), "not json", "[]", '{"_BOOT_ID": "x"}']
)
def test_what_is_no_older_line_of_that_boot_proves_nothing(answer: str) -> None:
    assert "after the window opened" in opened_at(50, entry(70), before=lambda _moment: answer).late


def test_a_question_that_fails_proves_nothing() -> None:
    def before(_moment: float) -> str:
        raise Unreachable("no answer")

    assert "begins at 70.0 s" in opened_at(50, entry(70), before=before).late


def test_a_later_window_of_a_log_has_its_lines_and_its_own_proof() -> None:
    log = read(journal({0: [BANNER, entry(70), entry(80)]}), Window(NOW, 0.0, ""), NOW)
    later = log.since(Window(NOW, 40.0, ""))
    assert (seconds(later), later.late) == ([40.0, 70.0, 80.0], "")
    assert log.late != ""
    assert "begins at 40.0 s" in log.since(Window(NOW, 30.0, "")).late


def test_a_later_window_in_an_older_boot_has_that_boots_rest_and_all_later_ones() -> None:
    boots = {0: [entry(1)], -1: [entry(10, boot=BEFORE), entry(99, boot=BEFORE)]}
    log = read(journal(boots), Window(BEFORE, 5.0, ""), NOW)
    assert seconds(log.since(Window(BEFORE, 50.0, ""))) == [99.0, 1.0]
    assert seconds(log.since(Window(NOW, 0.0, ""))) == [1.0]


def test_of_a_boot_without_a_line_all_that_is_there_is_newer() -> None:
    boots = {0: [entry(1)], -1: [entry(10, boot=BEFORE), entry(99, boot=BEFORE)]}
    log = read(journal(boots), Window(BEFORE, 5.0, ""), NOW)
    assert seconds(log.since(Window(LONG_AGO, 50.0, ""))) == [10.0, 99.0, 1.0]


def test_nobody_is_asked_for_an_older_line_without_need() -> None:
    def before(_moment: float) -> str:
        raise AssertionError

    assert opened_at(50, entry(50), entry(70), before=before).late == ""
    assert opened_at(0, entry(70), before=before).late != "", "nothing is older than the boot"
    older = {0: [FIRST], -1: [entry(60, boot=BEFORE)]}
    late = read(journal(older), Window(BEFORE, 50.0, ""), NOW, before)
    assert "begins at 60.0 s" in late.late, "the question is of the present boot"


def test_a_flood_that_goes_on_into_the_window_is_in_it() -> None:
    log = KernelLog((Line(NOW, 10.0, "x", count=9, last=50.0), Line(NOW, 49.0, "y")), 1)
    assert [line.message for line in log.since(Window(NOW, 50.0, "")).lines] == ["x"]


@pytest.mark.parametrize(
    ("opened", "up", "hours"),
    [
        (Window(NOW, 3600.0, ""), 10800.0, 2.0),
        (Window(NOW, 99.0, ""), 9.0, 0.0),
        (Window(BEFORE, 1.0, ""), 9.0, None),
    ],
)
def test_how_long_a_window_is_open(opened: Window, up: float, hours: float | None) -> None:
    assert KernelLog((), 1, opened=opened, boot_id=NOW, up=up).hours == hours
    assert KernelLog((), 1, opened=opened, boot_id=NOW).hours is None


def test_ten_boots_back_are_looked_at_and_no_more() -> None:
    asked: list[int] = []

    def fetch(boot: int) -> str:
        asked.append(boot)
        return entry(1, boot=f"{-boot:032x}")

    log = read(fetch, Window("f" * 32, 0.0, ""), "0" * 32)
    assert (len(asked), log.boots, "more than 10 boots" in log.trouble) == (10, 10, True)


def test_a_line_counts_within_a_span_at_both_its_ends() -> None:
    span = Span(NOW, 10.0, 20.0)
    assert [within(Line(NOW, at, "x"), [span]) for at in (9.9, 10.0, 20.0, 20.1)] == [
        False,
        True,
        True,
        False,
    ]
    assert within(Line(NOW, 1e9, "x"), [Span(NOW, 10.0, None)])
    assert not within(Line(BEFORE, 15.0, "x"), [span])


def test_a_journals_microseconds_are_seconds_here() -> None:
    """The last moment of a flood and the wall clock, too."""
    flood: Any = {COUNT: 3, LAST: 8_000_000, "__REALTIME_TIMESTAMP": "1700000000500000"}
    ((line,), lost) = parse(entry(5.0, **flood))
    assert lost == ""
    assert (line.monotonic, line.until, line.count, line.wall) == (5.0, 8.0, 3, 1700000000.5)
    ((bare,), _) = parse(entry(0.5))
    assert (bare.until, bare.count, bare.wall) == (0.5, 1, None)
    source = entry(5.0, _SOURCE_MONOTONIC_TIMESTAMP="4000000")
    assert parse(source)[0][0].monotonic == 4.0, "when the kernel wrote it"


def test_a_boot_counts_from_its_first_moment() -> None:
    """The present one without a window, and each later one than that in which the window opened."""
    assert seconds(read(journal({0: [entry(0.2), entry(70)]}), None, NOW)) == [0.2, 70.0]
    boots = {0: [entry(0.2)], -1: [entry(99, boot=BEFORE)]}
    assert seconds(read(journal(boots), Window(BEFORE, 50.0, ""), NOW)) == [99.0, 0.2]


def test_also_of_a_window_that_opened_within_the_boots_first_second_an_older_line_is_asked_for() -> None:
    assert opened_at(0.5, entry(70), before=lambda _moment: entry(0.4)).late == ""


def test_a_line_that_names_no_boot_or_no_words_has_none() -> None:
    ((line,), lost) = parse(json.dumps({"_TRANSPORT": "kernel", "__MONOTONIC_TIMESTAMP": "1000000"}))
    assert (line.boot_id, line.message, line.monotonic, lost) == ("", "", 1.0, "")


def test_of_two_openings_the_earlier_counts_and_after_a_reboot_the_windows() -> None:
    early, late, older = Window(NOW, 5.0, ""), Window(NOW, 9.0, ""), Window(BEFORE, 99.0, "")
    assert earlier_of(early, late) == earlier_of(late, early) == early
    assert earlier_of(older, early) == older
    assert (earlier_of(None, late), earlier_of(late, None), earlier_of(None, None)) == (late, late, None)


def numbered(back: int, begun: float, *moments: float) -> list[str]:
    """An earlier boot of a file: it has no name there, only times (adapters/cluster/kernel_files.py)."""
    walls = [str(round((begun + moment) * 1e6)) for moment in moments]
    return [
        entry(moment, boot=f"{back:032x}", __REALTIME_TIMESTAMP=wall)
        for moment, wall in zip(moments, walls, strict=True)
    ]


OPENED = "2026-12-01T11:00:50.000Z"
AT = 1796122850.0 - 50.0  # when that boot began
OF_A_FILE = {
    0: [entry(1)],
    -1: numbered(1, AT + 66, 2, 9),
    -2: numbered(2, AT, 10, 99),
    -3: numbered(3, AT - 900, 1),
}


@pytest.mark.parametrize("late", [0.0, 6.0, -2.0], ids=["at once", "written down later", "clocks differ"])
def test_in_a_file_the_windows_boot_is_known_by_its_time(late: float) -> None:
    """Its boots have no ids: after a boot of ours nothing could be judged, on any cluster but OpenShift."""
    log = read(journal(OF_A_FILE), Window(BEFORE, 50.0 - late, OPENED), NOW)
    assert (seconds(log), log.trouble, log.boots) == ([99.0, 2.0, 9.0, 1.0], "", 3)
    assert log.lines[0].boot_id == BEFORE
    assert seconds(log.since(Window(BEFORE, 60.0, ""))) == [99.0, 2.0, 9.0, 1.0]


@pytest.mark.parametrize(
    ("window", "boots"),
    [
        (Window(BEFORE, 50.0, ""), OF_A_FILE),
        (Window(BEFORE, 50.0, "2026-12-01T11:08:50.000Z"), OF_A_FILE),
        (Window(BEFORE, 50.0, OPENED), {0: [entry(1)], -1: numbered(1, AT + 600, 2)}),
        (Window(BEFORE, 50.0, OPENED), {0: [entry(1)], -1: [entry(60, boot=f"{1:032x}")]}),
        (Window(BEFORE, 50.0, OPENED), {0: [entry(1)], -1: [entry(60, boot=LONG_AGO)]}),
        (Window(BEFORE, 50.0, "yesterday"), OF_A_FILE),
    ],
    ids=[
        "no time",
        "no boot of then",
        "it is gone",
        "lines without times",
        "another's name",
        "no time of day",
    ],
)
def test_a_boot_that_no_time_tells_is_gone(window: Window, boots: dict[int, list[str]]) -> None:
    assert "is gone" in read(journal(boots), window, NOW).trouble
