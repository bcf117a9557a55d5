"""Where a limit lies exactly, and what is said at it: mutants of these lived once."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowngood.gate.kernel_log import LONGEST_REBOOT, read
from knowngood.gate.rdma_counters import OTHER_WIDTHS
from knowngood.gate.settling import LOOK_AGAIN
from knowngood.model.context import Window
from knowngood.probe.host import Host

from .test_kernel_log import BEFORE, NOW, entry, journal

SECOND = 1_000_000


def at(boot: str, seconds: float, wall: float, message: str = "NVRM: x") -> str:
    return entry(seconds, message, boot=boot, __REALTIME_TIMESTAMP=str(int(wall * SECOND)))


@pytest.mark.parametrize(("gap", "lost"), [(2700, False), (2701, True)])
def test_between_two_boots_there_may_be_forty_five_minutes(gap: int, lost: bool) -> None:
    boots = {0: [at(NOW, 0, 10_000 + gap, "Linux version 5.14")], -1: [at(BEFORE, 99, 10_000)]}
    log = read(journal(boots), Window(BEFORE, 50.0, ""), NOW)
    assert ("may be lost" in log.trouble) is lost
    assert LONGEST_REBOOT == 2700.0


def test_a_log_that_lost_lines_still_counts_its_boots() -> None:
    lost = entry(2, "Missed 12 kernel messages", _TRANSPORT="driver", SYSLOG_IDENTIFIER="systemd-journald")
    log = read(journal({0: [entry(1), lost]}), Window(NOW, 0.5, ""), NOW)
    assert (log.boots, bool(log.trouble)) == (1, True)


def test_of_what_can_not_be_read_three_are_named_and_the_others_counted(tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.unread.update({f"f{n}": "why" for n in range(3)})
    assert "more" not in host.why_unread()
    host.unread["f3"] = "why"
    assert host.why_unread().endswith(" and 1 more")
    assert host.why_unread().count("can't be read") == 3


def test_nodes_that_settle_are_looked_at_each_second() -> None:
    assert LOOK_AGAIN == 1.0
    assert OTHER_WIDTHS == (32, 64)
