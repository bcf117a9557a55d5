"""The transport is asserted by the name that NCCL gives it, per rank; lines of published logs, with origin."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowngood.probe.smoke.nccl_log import Promise, faults, named, read, short

LOGS = Path(__file__).parent / "nccl"


def lines(name: str) -> list[str]:
    return (LOGS / f"{name}.log").read_text().splitlines()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("h20-two-nodes-gdrdma", {"NET/IB/GDRDMA": 3, "P2P/CUMEM": 2}),
        ("sockets", {"NET/Socket": 1, "P2P/IPC": 1}),
        ("a100-gdrdma-2.11", {"NET/IB/GDRDMA": 2}),
        ("no-gdr-2.5", {"NET/IB": 1, "P2P/IPC": 1, "SHM": 1}),
        ("nvls", {"NVLS": 2, "P2P/CUMEM": 2}),
        ("shm", {"SHM": 2}),
    ],
)
def test_published_logs_are_read(name: str, expected: dict[str, int]) -> None:
    assert named(read(lines(name))) == expected


def test_what_a_rank_said_is_its_own() -> None:
    found = read(lines("h20-two-nodes-gdrdma"))
    assert [(s.rank, s.ranks, s.bus, s.dma_buf) for s in found] == [
        (0, 4, "7000", True),
        (1, 4, "b000", True),
        (2, 4, "7000", True),
        (3, 4, "b000", True),
    ]
    assert found[3].via == {"NET/IB/GDRDMA": 2, "P2P/CUMEM": 1}
    assert found[0].network == "IB"
    assert read(lines("no-gdr-2.5"))[0].version == "2.5.7"


def test_warnings_are_kept() -> None:
    assert any("No space left on device" in w for s in read(lines("shm-full")) for w in s.warnings)


TWO = Promise(nodes=2, ranks=range(4), nvswitch=True, rdma_mode="dma-buf")


@pytest.mark.parametrize(
    ("name", "promise", "words"),
    [
        ("h20-two-nodes-gdrdma", TWO, []),
        ("h20-two-nodes-gdrdma", Promise(2, range(4), False, "nvidia-peermem"), []),
        ("sockets", Promise(2, range(2), False, "dma-buf"), ["NCCL goes by sockets (NET/Socket)"]),
        ("sockets", Promise(2, range(2), False, "none"), []),
        ("sockets", Promise(1, range(2), False, "none"), ["NCCL goes by sockets (NET/Socket)"]),
        ("a100-gdrdma-2.11", Promise(2, range(2), False, "nvidia-peermem"), []),
        ("a100-gdrdma-2.11", Promise(2, range(2), False, "dma-buf"), ["without DMA-BUF"] * 2),
        ("nvls", Promise(1, range(2), True, "dma-buf"), []),
        ("shm", Promise(1, range(2), True, "none"), ["NCCL goes by SHM between GPUs on one NVSwitch"] * 2),
        ("shm", Promise(1, range(2), False, "none"), []),
    ],
)
def test_a_promise_is_kept_or_the_rank_is_named(name: str, promise: Promise, words: list[str]) -> None:
    found = list(faults(read(lines(name)), promise))
    assert len(found) == len(words)
    assert all(w in f.words and f.ok is False for w, f in zip(words, found, strict=True))
    if name == "sockets" and found:
        assert [f.rank for f in found] == [1]


def test_rdma_without_gpudirect_is_named() -> None:
    found = [
        f for f in faults(read(lines("no-gdr-2.5")), Promise(2, range(1), False, "dma-buf")) if f.ok is False
    ]
    assert [(f.rank, f.words) for f in found] == [(0, "NCCL goes by NET/IB without GPUDirect RDMA")]


@pytest.mark.parametrize("left_out", range(4))
def test_a_rank_whose_log_tells_nothing_is_not_measured(left_out: int) -> None:
    seen = [s for s in read(lines("h20-two-nodes-gdrdma")) if s.rank != left_out]
    assert [(f.rank, f.ok) for f in faults(seen, TWO)] == [(left_out, None)]
    assert {f.ok for f in faults([], TWO)} == {None}


def test_two_nodes_that_never_say_how_they_meet_are_not_measured() -> None:
    found = list(faults(read(lines("nvls")), Promise(2, range(2), True, "dma-buf")))
    assert [(f.rank, f.ok) for f in found] == [(None, None)]


def test_one_rank_has_nobody_to_reach() -> None:
    assert list(faults([], Promise(1, range(1), True, "dma-buf"))) == []


@pytest.mark.parametrize(
    ("via", "expected"),
    [
        ("P2P/CUMEM/read", "P2P/CUMEM"),
        ("P2P/direct pointer", "P2P/direct pointer"),
        ("SHM/direct/direct", "SHM"),
        ("direct shared memory", "SHM"),
        ("NET/IBext_v8/3/GDRDMA/Shared", "NET/IBext_v8/GDRDMA"),
        ("NET/AWS Libfabric/0/GDRDMA", "NET/AWS Libfabric/GDRDMA"),
        ("NET/Socket/0", "NET/Socket"),
    ],
)
def test_transports_in_short(via: str, expected: str) -> None:
    assert short(via) == expected


def test_processes_of_two_hosts_with_one_number_are_two() -> None:
    """In pods process numbers are small and often the same."""
    said = [
        f"{host}:7:7 [0] NCCL INFO comm 0x1 rank {n} nranks 2 cudaDev 0 busId 1000 - Init COMPLETE"
        for n, host in enumerate("ab")
    ]
    said += ["a:7:7 [0] NCCL INFO Channel 00 : 0[0] -> 1[0] [send] via NET/IB/0/GDRDMA"]
    assert [(s.rank, s.via) for s in read(said)] == [(0, {"NET/IB/GDRDMA": 1}), (1, {})]


def test_of_two_communicators_of_one_size_the_later_is_the_ranks() -> None:
    """It is made anew after the first was broken off; a smaller one beside it is none of that rank's."""
    said = [
        f"a:7:7 [0] NCCL INFO comm 0x{n} rank {rank} nranks {ranks} cudaDev 0 busId 1000 - Init COMPLETE"
        for n, (rank, ranks) in enumerate(((3, 8), (5, 8), (1, 2)))
    ]
    assert [(s.rank, s.ranks) for s in read(said)] == [(5, 8)]
