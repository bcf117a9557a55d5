"""A node's journal is asked for once, kept small, and its end is proven."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.probe.test_log_signatures import REAL

from knowngood.adapters.cluster import journals
from knowngood.gate.kernel_log import parse
from knowngood.probe.kernel_log.messages import JOURNAL_PATTERN

XID = "NVRM: Xid (PCI:0000:1a:00): 31, pid={}, name=train, MMU Fault"


def entry(seconds: float, message: str = "NVRM: x", **fields: Any) -> str:
    stamp = str(int(seconds * 1e6))
    values = {
        "_TRANSPORT": "kernel",
        "_BOOT_ID": "a" * 32,
        "__MONOTONIC_TIMESTAMP": stamp,
        "MESSAGE": message,
    }
    return json.dumps(values | fields)


def thinned(*raws: str, newest: str = "", since: float | None = None) -> list[dict[str, Any]]:
    found = journals.thinned(raws, json.loads(newest) if newest else None, since)
    return [json.loads(line) for line in found]


class Kubelet(FakeKube):
    """Answers as the endpoint does, which may end an answer in its middle and say 200."""

    def __init__(self, *entries: str, cut: int | None = None) -> None:
        super().__init__()
        self.entries, self.cut, self.asked = entries, cut, list[dict[str, str]]()

    def _serve(self, method: str, path: str, query: dict[str, str], body: Any, kind: str) -> tuple[int, Any]:
        self.asked.append(query)
        found = self.entries[-int(query["tail"]) :] if "tail" in query else self.entries[: self.cut]
        return 200, "".join(f"{e}\n" for e in found).encode()


def test_an_answer_that_was_cut_off_says_so() -> None:
    whole = [entry(1, "Linux version 5.14"), entry(2), entry(3)]
    assert parse(journals.read(Kubelet(*whole), "n"))[1] == ""
    for cut in (0, 1, 2):
        assert "cut off" in parse(journals.read(Kubelet(*whole, cut=cut), "n"))[1]


def test_what_came_while_it_was_asked_is_no_sign_of_a_cut() -> None:
    found = thinned(entry(1, "NVRM: a"), entry(2, "NVRM: b"), entry(3, "NVRM: c"), newest=entry(2, "NVRM: b"))
    assert [e["MESSAGE"][-1] for e in found] == ["a", "b", "c"]


def test_it_is_asked_for_once_since_the_moment_and_by_the_start_of_a_message() -> None:
    kube = Kubelet(entry(95))
    journals.read(kube, "n", since=90.0, up=100.0, words="Compat-mlnx")
    tail, main = kube.asked
    assert main == {
        "output": "json",
        "boot": "0",
        "since": "-40s",
        "grep": f"{JOURNAL_PATTERN}|Compat-mlnx",
    }
    assert tail == {"output": "json", "boot": "0", "tail": "1", "grep": main["grep"]}
    assert all(re.search(main["grep"], message) for message in REAL)
    assert not re.search(main["grep"], "op=x comm=NVRM: Xid (PCI:0000:1a:00): 79")


def test_a_quiet_node_shows_by_an_older_line_that_its_log_is_alive() -> None:
    """Nothing came since; the newest line is from before."""
    assert thinned(newest=entry(10), since=5000.0) == thinned(entry(10))
    assert journals.CUT in thinned(newest=entry(6000), since=5000.0)[-1]
    assert thinned() == []


def test_a_flood_is_one_entry_with_its_count() -> None:
    flood = [entry(i / 1000, XID.format(7)) for i in range(5000)]
    (one,) = thinned(*flood)
    (line,), _ = parse(json.dumps(one))
    assert (line.count, line.monotonic, line.until) == (5000, 0.0, 4.999)
    assert len(thinned(*flood, entry(400, XID.format(7)))) == 2


def test_other_programs_lines_are_not_kept_but_that_lines_were_lost_is() -> None:
    lost = entry(2, "Missed 3 kernel messages", _TRANSPORT="driver", SYSLOG_IDENTIFIER="systemd-journald")
    found = thinned(entry(1), entry(2, _TRANSPORT="stdout"), lost)
    assert [e["MESSAGE"] for e in found] == ["NVRM: x", "Missed 3 kernel messages"]


def test_what_is_no_journal_is_handed_on_for_its_reader_to_refuse() -> None:
    text = "".join(journals.thinned(["Failed to parse the query"]))
    with pytest.raises(ValueError, match="Expecting value"):
        parse(text)


def test_a_million_entries_take_little_memory_and_lose_no_kind_of_error() -> None:
    """Here 12,000, each another; what is kept does not grow with them."""
    kinds = [XID.format, "NVRM: noise {}".format, XID.replace("31", "79").format]

    def entries(count: int) -> Iterator[str]:
        for i in range(count):
            yield from (entry(i, make(i)) for make in kinds)

    few, many = ("".join(journals.thinned(entries(n))) for n in (2000, 4000))
    assert len(many) < len(few) * 1.01
    lines, trouble = parse(many)
    assert (len(lines), trouble) == (5000 + 2, "")
    for code in ("): 31,", "): 79,"):
        assert sum(line.count for line in lines if code in line.message) == 4000


def test_what_came_since_is_missing_where_the_newest_entry_is_and_nothing_else_came() -> None:
    """The newest entry came 10 s after the window opened; what came before it is not known to be nothing."""
    assert journals.CUT in thinned(newest=entry(5010), since=5000.0)[-1]


def test_two_loads_of_one_driver_within_seconds_are_two_and_so_is_what_was_asked_for_by_words() -> None:
    """Folded into the first one, the second load would never have been."""
    banner, nic = (
        "NVRM: loading NVIDIA UNIX Open Kernel Module  580.105.08",
        "mlx5_core 0000:1c:00.0: firmware version: 28",
    )
    assert len(thinned(entry(30.7, banner), entry(36.3, banner))) == 2
    twice = [entry(30.7, nic), entry(36.3, nic)]
    assert len(thinned(*twice)) == 1
    assert len([*journals.thinned(twice, words="firmware version")]) == 2
