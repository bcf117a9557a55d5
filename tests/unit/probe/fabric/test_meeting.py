"""What two probes say to each other: a line of JSON each, of the kind that is expected, in time, and not too long."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from knowngood.probe.fabric import nccl, pair, payload, perftest
from knowngood.probe.fabric.meeting import LONGEST, Line, Lost, NotMet, host, visit
from knowngood.probe.fabric.nccl import Unstarted
from knowngood.probe.fabric.ports import Port
from knowngood.probe.fabric.tools import MOST, Missing, Tool, ended
from knowngood.probe.host import Host

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


def test_each_tool_of_a_pair_has_a_port_of_its_own() -> None:
    """Three for each rail, from the first on: as many as a site would have to open."""
    for rails in (1, 2, 8):
        phases = pair._phases(work(), rails)
        assert sorted(phase.offset + rail for phase in phases for rail in range(rails)) == list(
            range(3 * rails)
        )
    assert [(phase.key, phase.first_serves) for phase in pair._phases(work(), 2)] == [
        ("gbps", True),
        ("gbps", False),
        ("latencyUs", True),
    ]
    assert [phase.seconds for phase in pair._phases(work(), 2)] == [5.0, 5.0, 2.0]


def work(**asked: Any) -> pair.Work:
    names = {"n0": "first.svc", "n1": "second.svc"}
    return payload._work({"names": names, **asked}, "n1", ("n0", "n1"), [], 8)


def test_what_the_profile_does_not_say_of_a_pair_is_as_published() -> None:
    found = work()
    assert (found.first, found.us, found.them) == (False, "n1", "n0")
    assert (found.address, found.their_address) == ("second.svc", "first.svc")
    assert (found.size, found.seconds, found.gid_index, found.dma_buf) == (8 << 20, 5.0, None, False)
    assert (found.nccl_bytes, found.nccl_rounds, found.nccl_seconds) == (4 << 30, 20, 120.0)
    assert (found.rdma_mode, found.nvswitch, found.settings) == ("none", False, {})
    said = work(bytes=1, seconds=2, gidIndex=0, rdmaMode="dma-buf", ncclBytes=3, ncclSeconds=4, nvswitch=True)
    assert (said.size, said.seconds, said.gid_index, said.dma_buf) == (1, 2.0, 0, True)
    assert (said.nccl_bytes, said.nccl_seconds, said.nvswitch) == (3, 4.0, True)


def test_a_tools_command_names_the_port_the_gpu_and_the_memory() -> None:
    port = Port("0000:1a:00.0/1", "mlx5_3", 2, gpu=5)
    plain = pair.command("ib_write_bw", ("-s", "1"), port, 17401, work())
    assert plain == ["ib_write_bw", "-d", "mlx5_3", "-i", "2", "-p", "17401", "-F", "-s", "1", "--use_cuda=5"]
    asked = pair.command("ib_read_lat", (), port, 17401, work(gidIndex=0, rdmaMode="dma-buf"), "n0")
    assert asked[-5:] == ["-x", "0", "--use_cuda=5", "--use_cuda_dmabuf", "n0"]


@pytest.mark.parametrize("error", [KeyError("x"), TypeError("x"), ValueError("x"), IndexError("x")])
def test_a_partner_that_does_not_keep_to_what_was_agreed_is_told(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextlib.contextmanager
    def visit(*_: object) -> Iterator[None]:
        yield

    def run(*_: object) -> None:
        raise error

    monkeypatch.setattr("knowngood.probe.fabric.payload.meeting.visit", visit)
    monkeypatch.setattr("knowngood.probe.fabric.payload.pair.run", run)
    found: dict[str, Any] = {"why": ""}
    payload._meet(work(), 0, 0.0, "s", found)
    assert found["why"] == f"what it said can't be used: {type(error).__name__}"


def test_rounds_begin_between_two_fifths_and_most_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each partner knows by when: whoever is late has the same clock's share as who waits."""
    until: list[float] = []
    monkeypatch.setattr(payload, "chosen", lambda *_: ([], ""))
    monkeypatch.setattr(payload, "refusal", lambda *_: "")
    monkeypatch.setattr(payload, "_meet", lambda _work, _n, moment, *_: until.append(moment))
    monkeypatch.setenv("NODE_NAME", "n1")
    asked = {"rounds": [[["n0", "n1"]]] * 3, "names": {"n0": "a", "n1": "b"}}
    before = time.monotonic()
    told = payload.run(Host(Path("/nowhere")), {"deadline": 1000.0, "gpus": 8, "fabric": asked})
    assert [round(moment - before, -1) for moment in until] == [400.0, 550.0, 700.0]
    assert (told["ok"], "it met nobody: n0: " in told["reason"]) == (None, True)
    assert [one["round"] for one in told["measured"]["rounds"]] == [0, 1, 2]


def test_a_payload_that_is_told_nothing_has_no_gpu_no_name_and_five_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[int] = []
    until: list[float] = []

    def chosen(_host: Host, _wanted: object, gpus: int) -> tuple[list[Port], str]:
        asked.append(gpus)
        return [], ""

    def refusal(_host: Host, gpus: int) -> str:
        asked.append(gpus)
        return ""

    monkeypatch.setattr(payload, "chosen", chosen)
    monkeypatch.setattr(payload, "refusal", refusal)
    monkeypatch.setattr(payload, "_meet", lambda _work, _n, moment, *_: until.append(moment))
    monkeypatch.delenv("NODE_NAME", raising=False)
    before = time.monotonic()
    fabric = {"rounds": [[["", "n1"]]], "names": {"": "a", "n1": "b"}}
    told = payload.run(Host(Path("/nowhere")), {"fabric": fabric})
    assert (told["measured"]["node"], asked) == ("", [0, 0])
    assert [round(moment - before, -1) for moment in until] == [120.0]


def test_all_that_starts_the_ranks_fits_into_the_reductions_time() -> None:
    assert 4 * nccl.SAID_WITHIN <= payload.NCCL_SECONDS


def test_a_rail_that_one_node_lacks_is_nobodys_link() -> None:
    mine = [Port("0000:1a:00.0/1", "mlx5_3", 1), Port("0000:2a:00.0/1", "mlx5_4", 1)]
    asked = payload._work({"names": {"n0": "a", "n1": "b"}}, "n0", ("n0", "n1"), mine, 8)
    both, one = (pair._link(rail, asked, ["0000:1a:00.0/1"]) for rail in (0, 1))
    assert (both["ends"], both["why"]) == ({"n0": "0000:1a:00.0/1", "n1": "0000:1a:00.0/1"}, "")
    assert (one["ends"], one["why"]) == ({"n0": "0000:2a:00.0/1"}, "n1 has no port for rail 1")


def said(end: str = "measured", value: float | None = 390.0, **more: Any) -> dict[str, Any]:
    return {"end": end, "value": value, "dmaBuf": True, "why": "", **more}


@pytest.mark.parametrize(
    ("first", "here", "there", "entered"),
    [
        (True, said(value=None), said(), {"gbps": {"n1": 390.0}}),
        (False, said(), said(value=None), {"gbps": {"n0": 390.0}}),
        (
            True,
            said(perftest.OWN, None, why="no DMA-BUF"),
            said(perftest.UNMEASURED, None),
            {"own": {"n0": "no DMA-BUF"}},
        ),
        (
            True,
            said(perftest.DEAD, None, why="retry"),
            said(perftest.DEAD, None, why="later"),
            {"dead": "retry"},
        ),
        (True, said(value=None, dmaBuf=False), said(), {"gbps": {"n1": 390.0}, "plain": ["n0"]}),
        (True, said(value=None), said(dmaBuf=False), {"gbps": {"n1": 390.0}, "plain": ["n1"]}),
        (
            True,
            said(perftest.UNMEASURED, None, dmaBuf=False),
            said(perftest.UNMEASURED, None, dmaBuf=False, why="it ended with 1"),
            {"why": "ib_write_bw: n1: it ended with 1"},
        ),
    ],
)
def test_what_both_ends_said_of_a_rail_is_one_result(
    first: bool, here: dict[str, Any], there: dict[str, Any], entered: dict[str, Any]
) -> None:
    """The end that serves tells no figure; whoever does not use DMA-BUF is named once."""
    mine = [Port("0000:1a:00.0/1", "mlx5_3", 1)]
    asked = payload._work(
        {"names": {"n0": "a", "n1": "b"}, "rdmaMode": "dma-buf"}, "n0", ("n0", "n1"), mine, 8
    )
    link = pair._link(0, asked, ["0000:1a:00.0/1"])
    plain = dict(link)
    phase = next(p for p in pair._phases(asked, 1) if p.key == "gbps" and p.first_serves is first)
    for _ in range(2):
        pair._entered(link, phase, {"n0": here, "n1": there}, asked)
    assert link == {**plain, "gbps": {}, **entered}


class Told:
    """A partner that says what it is to, and keeps what is said to it."""

    def __init__(self, **words: dict[str, Any]) -> None:
        self.words = words
        self.said: list[dict[str, Any]] = []

    def hear(self, kind: str, _patience: float) -> dict[str, Any]:
        return self.words[kind]

    def say(self, **word: Any) -> None:
        self.said.append(word)


@pytest.mark.parametrize(
    ("place", "words"),
    [("", []), ("n0:1 --evil", ["can't be a place"]), ("n0:4711", ["is not in this image"])],
)
def test_a_proxy_that_can_not_start_is_told_to_the_first_node(
    place: str, words: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    line = Told(proxy={"place": place}, reduced={"report": {"busGBps": 3.0}})
    assert nccl.follow(line, tmp_path, 1.0) == {"busGBps": 3.0}  # type: ignore[arg-type]
    assert len(line.said) == len(words)
    assert all(said_["kind"] == "started" and said_["why"] for said_ in line.said), line.said


def test_a_partner_that_is_not_there_is_told_with_the_systems_own_words() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        pytest.raises(NotMet, match=r"can't be reached at 127\.0\.0\.1: .*refused"),
        visit("127.0.0.1", port, "s/b", time.monotonic() + 0.05),
    ):
        raise AssertionError
    with pytest.raises(NotMet, match="not tried"), visit("127.0.0.1", port, "s/b", time.monotonic() - 1):
        raise AssertionError


class Ended:
    """A tool that says this, and has ended so (None: it has not)."""

    def __init__(self, text: str, code: int | None) -> None:
        self._text, self.code = text, code

    def text(self) -> str:
        return self._text

    def over(self) -> bool:
        return self.code is not None


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        (perftest.DMA_BUF, 0, (perftest.MEASURED, True, "")),
        ("", 0, (perftest.MEASURED, False, "")),
        ("it broke", 1, (perftest.UNMEASURED, False, "it ended with 1 and no figure: it broke")),
        (perftest.DMA_BUF, None, (perftest.UNMEASURED, True, "it still waited when the other had ended")),
    ],
)
def test_the_end_that_serves_tells_whether_it_used_dma_buf_and_what_went_wrong(
    text: str, code: int | None, expected: tuple[str, bool, str]
) -> None:
    found = pair._served(Ended(text, code), pair._phases(work(), 1)[0])  # type: ignore[arg-type]
    assert (found["end"], found["dmaBuf"], found["why"], found["value"]) == (*expected, None)
