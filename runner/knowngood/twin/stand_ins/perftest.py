"""ib_write_bw and ib_read_lat: linux-rdma/perftest 8a1d3d7's words and columns, around a figure of the twin's."""

from __future__ import annotations

import os
import signal
import socket
import sys

from knowngood.twin.stand_ins import hardware

RULE = "-" * 87
TAKING = frozenset({"-d", "-i", "-p", "-s", "-D", "-n", "-x"})
"""Options with a value."""
PATIENCE = 60.0
SPREAD = 0.004
AT = "0x7f3fa4000000"


def main(argv: list[str]) -> int:
    """One side of one test; `argv` as the tool's."""
    tool, options, server = os.path.basename(argv[0]), *_parsed(argv[1:])
    if "--use_cuda_dmabuf" in options and "--use_cuda" not in options:
        return _fail("CUDA DMA-BUF cannot be used without CUDA\n Parser function exited with Error")
    ours = hardware.side(options.get("-d", ""))
    if ours is None:
        return _fail(f"IB device {options.get('-d')} not found\n Unable to find the Infiniband/RoCE device")
    port = int(options.get("-p", "18515"))
    if not server:
        print("\n" + "*" * 36 + "\n* Waiting for client to connect... *\n" + "*" * 36, flush=True)
    try:
        line = _called(port) if not server else socket.create_connection((server, port), PATIENCE)
    except OSError:
        words = "Unable to open file descriptor for socket connection"
        return _fail(f"Couldn't connect to {server}:{port}\n{words}\n Unable to init the socket connection")
    with line:
        if hardware.ails(hardware.HANGS):
            signal.pause()
        return _ran(tool, options, ours, _exchanged(line, ours), serving=not server)


def _parsed(words: list[str]) -> tuple[dict[str, str], str]:
    found, server, at = {}, "", 0
    while at < len(words):
        word = words[at]
        if word in TAKING:
            found[word], at = words[at + 1], at + 1
        elif word.startswith("-"):
            name, _, value = word.partition("=")
            found[name] = value
        else:
            server = word
        at += 1
    return found, server


def _called(port: int) -> socket.socket:
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind((hardware.address(), port))
        door.listen()
        door.settimeout(PATIENCE)
        return door.accept()[0]


class Link:
    """What two sides are to each other: as good as the worse of them. `rate` in Gb/s, `share` what is left of it."""

    def __init__(self, peer: str, rate: float, share: float, *, loses: bool) -> None:
        self.peer = peer
        self.rate = rate
        self.share = share
        self.loses = loses


def _exchanged(line: socket.socket, ours: hardware.Side) -> Link:
    line.settimeout(PATIENCE)
    with line.makefile() as file:

        def swapped(*words: object) -> list[str]:
            line.sendall("\t".join(map(str, words)).encode() + b"\n")
            return file.readline().rstrip("\n").split("\t")

        peer, rate = swapped(ours.node, ours.rate)
        # What ails this side, the other one has to know.
        share, loses = hardware.share(ours.device, peer), hardware.ails(hardware.LOSES, ours.device, peer)
        their_share, they_lose = swapped(share, int(loses))
    return Link(
        peer, min(ours.rate, float(rate)), min(share, float(their_share)), loses=loses or they_lose == "1"
    )


def _ran(tool: str, options: dict[str, str], ours: hardware.Side, link: Link, *, serving: bool) -> int:
    _head(tool, options, ours)
    if link.loses:
        if serving:
            return _fail(
                "ethernet_read_keys: Couldn't read remote address\n Unable to read to socket/rdma_cm"
            )
        status = "Failed status-transport retry counter exceeded (12): wr_id 0 syndrom 0x81"
        return _fail(f" Completion with error at client\n {status}\n scnt=128, ccnt=0")
    luck = _luck(ours, link.peer)
    rate = link.rate * hardware.USED * link.share * (1 - SPREAD * luck)
    if tool == "ib_read_lat":
        head = " #bytes #iterations    t_min[usec]    t_max[usec]  t_typical[usec]    t_avg[usec]    t_stdev[usec]"
        print(f"{head}   99% percentile[usec]   99.9% percentile[usec] ")
        us = 3.7 + 0.1 * luck
        print(
            f" {options.get('-s', '2'):<7} {options.get('-n', '1000')}          {us - 0.1:<7.2f}        {us + 6:<7.2f}",
            end="",
        )
        print(
            f"      {us:<7.2f}  \t       {us + 0.02:<7.2f}     \t{0.08:<7.2f}\t\t{us + 0.3:<7.2f} \t\t{us + 6:<7.2f}"
        )
    elif not serving:
        size = int(options.get("-s", "65536"))
        count = int(rate * 1e9 / 8 / size * float(options.get("-D", "5")))
        print(" #bytes     #iterations    BW peak[Gb/sec]    BW average[Gb/sec]   MsgRate[Mpps]")
        rows = f" {size:<7}    {count:<10}       {0:<7.2f}            {rate:<7.2f}"
        print(f"{rows}\t\t     {rate * 1e9 / 8 / size / 1e6:<7.6f}")
    print(RULE)
    return 0


def _head(tool: str, options: dict[str, str], ours: hardware.Side) -> None:
    if "--use_cuda" in options:
        print("initializing CUDA\n\nPicking device No. " + options["--use_cuda"])
        if "--use_cuda_dmabuf" in options:
            print(f"using DMA-BUF for GPU buffer address at {AT} aligned at {AT} with aligned size 16777216")
    print(RULE)
    print(" " * 20 + ("RDMA_Read Latency Test" if tool == "ib_read_lat" else "RDMA_Write BW Test"))
    print(f" Dual-port       : OFF\t\tDevice         : {ours.device}\n{RULE}", flush=True)


def _luck(ours: hardware.Side, peer: str) -> float:
    """0 to 1, the same each time for the same two: figures of healthy links differ a little."""
    return (sum(f"{ours.node}{ours.device}{peer}".encode()) % 97) / 97


def _fail(words: str) -> int:
    sys.stdout.flush()
    sys.stderr.write(words + "\n")
    return 1
