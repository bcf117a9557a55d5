"""What fabric must say of a node that has met two others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tests.unit.gates.faults.fault import Empty, Fault, Spoil
from tests.unit.gates.faults.machine import NODE
from tests.unit.gates.faults.recorded import Recorded
from tests.unit.gates.test_fabric import Told, between, told

from knowngood.gate.meeting import Meeting
from knowngood.model.verdict import Verdict
from knowngood.planner.pairs import rounds

OTHERS = ("fra-gpu-2", "fra-gpu-3")
NODES = (NODE, *OTHERS)


def met(change: Callable[[Told], object] = lambda _: None) -> Callable[[Recorded], Meeting]:
    """The meeting of three healthy nodes, changed."""

    def made(_node: Recorded) -> Meeting:
        documents = told(NODES)
        change(documents)
        return Meeting(rounds(NODES, 3), documents)

    return made


def other(change: Callable[[Told], object]) -> Spoil:
    return lambda node: node.more.update(meeting=met(change))


def slow(rate: float, partners: tuple[str, ...] = OTHERS) -> Spoil:
    """The node's second port with these partners."""

    def change(documents: Told) -> None:
        for partner in partners:
            between(documents, NODE, partner)["links"][1]["gbps"][NODE] = rate

    return other(change)


def nccl(**said: Any) -> Spoil:
    return other(lambda documents: between(documents, NODE, OTHERS[0])["nccl"].update(said))


def sockets(documents: Told) -> None:
    words = {"words": "NCCL goes by sockets (NET/Socket)", "ok": False, "rank": 3, "bus": "5d000"}
    between(documents, NODE, OTHERS[0])["nccl"]["own"][NODE]["found"] = [words]


def dead(documents: Told) -> None:
    between(documents, NODE, OTHERS[0])["links"][0]["dead"] = "retry counter exceeded"


def without_dma_buf(documents: Told) -> None:
    between(documents, NODE, OTHERS[0])["links"][0]["plain"] = [NODE]


def nobody(node: Recorded) -> None:
    node.more["meeting"] = lambda _: Meeting((), {}, alone="no other node is judged with it")


def silent(node: Recorded) -> None:
    node.more["meeting"] = lambda _: Meeting(rounds(NODES, 3), {}, {NODE: "its answer can't be read"})


GIVEN = {"meeting": met()}
PASS: Mapping[str, Spoil] = {
    "as it was": lambda _: None,
    "another pair's link is slow": other(
        lambda documents: between(documents, *OTHERS)["links"][0]["gbps"].update({OTHERS[0]: 200.0})
    ),
}
FAULTS: Mapping[str, Fault] = {
    "a port at half its rate": Fault(slow(196.0), f"its port {NODE}:1/1 is bad with fra-gpu-2, fra-gpu-3"),
    "a link that loses what is sent": Fault(other(dead), "both ends are good with others"),
    "sockets": Fault(other(sockets), "rank 3 (GPU 5d000): NCCL goes by sockets"),
    "a wrong sum over the network": Fault(nccl(wrong=3), "fra-gpu-2"),
    "GPU memory that goes by the host": Fault(other(without_dma_buf), NODE),
    "a tool that is not there": Fault(
        other(lambda d: [between(d, NODE, o)["nccl"].update(busGBps=None, why="no mpiexec") for o in OTHERS]),
        "no mpiexec",
        Verdict.INCONCLUSIVE,
    ),
}
EMPTY: Mapping[str, Empty] = {
    "it met nobody": Empty(nobody, "no other node is judged with it"),
    "its probe said nothing": Empty(silent, "its answer can't be read"),
}
