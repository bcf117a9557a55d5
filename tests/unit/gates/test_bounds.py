"""Where a limit lies exactly, and what is said at it: mutants of these lived once."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from knowngood.gate.kernel_log import read
from knowngood.gate.rdma_counters import saturated
from knowngood.gate.settling import settled
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


def test_nodes_that_settle_are_looked_at_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr("knowngood.gate.settling.time.monotonic", lambda: clock[0])
    monkeypatch.setattr(
        "knowngood.gate.settling.time.sleep", lambda seconds: clock.__setitem__(0, clock[0] + seconds)
    )
    looks: list[float] = []

    def look(names: Sequence[str]) -> dict[str, str]:
        looks.append(clock[0])
        return dict.fromkeys(names, "late")

    settled({"n": "late"}, look, lambda _name, state: state == "late", lambda _name: 3.0)
    assert looks == [1.0, 2.0, 3.0]


@pytest.mark.parametrize("name", ["symbol_error", "rnr_nak_retry_err"])
@pytest.mark.parametrize(("bits", "full"), [(31, False), (32, True), (33, False), (63, False), (64, True)])
def test_a_counter_is_full_at_what_32_or_64_bits_hold(name: str, bits: int, full: bool) -> None:
    """Whatever width InfiniBand gives it: drivers keep wider ones."""
    assert saturated(name, 2**bits - 1) is full
    assert not saturated(name, 2**bits)
