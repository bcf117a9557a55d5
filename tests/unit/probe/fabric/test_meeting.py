"""What two probes say to each other: a line of JSON each, of the kind that is expected, in time, and not too long."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from knowngood.probe.fabric import nccl, payload
from knowngood.probe.fabric.meeting import LONGEST, Line, Lost, NotMet, host, visit
from knowngood.probe.fabric.nccl import Unstarted
from knowngood.probe.fabric.tools import MOST, Missing, Tool, ended

Ends = tuple[Line, socket.socket]


@pytest.fixture
def ends() -> Iterator[Ends]:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        yield Line(mine), theirs


def of_length(length: int) -> bytes:
    """A line of so many bytes, its end too."""
    empty = len(json.dumps({"kind": "x", "of": ""})) + 1
    return json.dumps({"kind": "x", "of": "y" * (length - empty)}).encode() + b"\n"


def heard(ends: Ends, said: bytes) -> dict[str, str]:
    line, there = ends
    hand = threading.Thread(target=there.sendall, args=(said,), daemon=True)
    hand.start()
    return line.hear("x", 30.0)


def test_a_line_may_have_a_mebibyte(ends: Ends) -> None:
    assert LONGEST == 1 << 20
    assert len(heard(ends, of_length(LONGEST))["of"]) > LONGEST - 100


def test_more_is_not_waited_for(ends: Ends) -> None:
    with pytest.raises(Lost, match=f"more than {LONGEST} bytes"):
        heard(ends, b"y" * (LONGEST + 1))


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (b"no json\n", "can't be read"),
        (b"\xff\xfe\n", "can't be read"),
        (b"[" * 100_000 + b"\n", "can't be read"),
        (b"[]\n", "did not speak of x"),
        (b'{"kind": "y"}\n', "did not speak of x"),
    ],
)
def test_what_is_not_agreed_is_no_word(ends: Ends, said: bytes, words: str) -> None:
    with pytest.raises(Lost, match=words):
        heard(ends, said)


def test_silence_and_going_away_are_told_apart(ends: Ends) -> None:
    line, there = ends
    with pytest.raises(Lost, match="said nothing of x for 0 s"):
        line.hear("x", 0.05)
    there.sendall(b'{"kind": "x", "n": 1}\n{"kind"')
    assert line.hear("x", 5.0)["n"] == 1, "what comes after is kept"
    there.close()
    with pytest.raises(Lost, match="went away before it said anything of x"):
        line.hear("x", 5.0)
    with pytest.raises(Lost, match="went away"):
        line.say(kind="x", of="y" * 100_000)


def test_a_stranger_is_sent_away_and_the_partner_taken() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    until = time.monotonic() + 30
    met: list[str] = []

    def wait() -> None:
        with host("127.0.0.1", port, "s/b", until) as line:
            met.append(line.hear("word", 10.0)["of"])

    hand = threading.Thread(target=wait, daemon=True)
    hand.start()
    with (
        pytest.raises(NotMet, match="can't be reached"),
        visit("127.0.0.1", port, "old/b", time.monotonic() + 1),
    ):
        raise AssertionError
    with visit("127.0.0.1", port, "s/b", until) as line:
        line.say(kind="word", of="here")
        hand.join(20)
    assert met == ["here"]


def test_who_does_not_come_in_time_is_not_met() -> None:
    with pytest.raises(NotMet, match="did not come"), host("127.0.0.1", 0, "s/b", time.monotonic() + 0.05):
        raise AssertionError
    with pytest.raises(NotMet, match="no address of it"), host("192.0.2.1", 1, "s/b", time.monotonic()):
        raise AssertionError


def test_the_ports_of_all_images_are_the_same() -> None:
    """A probe of an older image meets one of a newer; a hundred rounds fit before the tools' ports."""
    assert (payload.PORT, payload.TOOLS) == (17300, 17400)


def announced(*places: str) -> str:
    lines = [f"HYDRA_LAUNCH: hydra_pmi_proxy --control-port {place} --rmk user" for place in places]
    return "\n".join([*lines, "HYDRA_LAUNCH_END"])


def test_ranks_are_started_only_where_all_proxies_report_at_one_place() -> None:
    assert nccl.reports_at(announced("n0:4000", "n0:4000"), 2) == "n0:4000"
    assert nccl.reports_at(announced("n0:4000", "n0:4000").replace("_END", ""), 2) == "", (
        "there may come more"
    )
    for places in (["n0:4000"], ["n0:4000"] * 3, ["n0:4000", "n1:4000"], ["?", "?"]):
        with pytest.raises(Unstarted, match=f"{len(places)} proxies"):
            nccl.reports_at(announced(*places), 2)


@pytest.mark.parametrize("place", ["n0", "n0:123456", "n0:1 --launcher-exec /bin/x", ""])
def test_a_partner_can_start_nothing_but_our_proxy(place: str) -> None:
    with pytest.raises(Unstarted, match="no place to report at"):
        nccl.proxy(place, 1)


def test_a_tools_end_its_code_and_the_end_of_its_words() -> None:
    with pytest.raises(Missing, match="no-such-tool is not in this image"):
        Tool(["no-such-tool"])
    tool = Tool(["sh", "-c", f"head -c {MOST + 10} /dev/zero | tr '\\0' y; echo; echo last; exit 7"])
    try:
        assert ended([tool], time.monotonic() + 30)
        assert (tool.code, len(tool.text()), tool.text().endswith("last\n")) == (7, MOST, True)
    finally:
        tool.end()
    hanging = Tool(["sleep", "60"])
    assert not ended([hanging], time.monotonic())
    assert hanging.code == -9, "it has no code of its own yet"
    hanging.end()
    assert hanging.over()
