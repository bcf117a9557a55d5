"""mpiexec with Hydra's manual launcher, its proxies, and all_reduce_perf as the ranks that they would start.

mpiexec prints what MPICH 5.0.2's prints for `-launcher manual` and waits for its proxies; each says what its node
gives and writes NCCL's log of its ranks (NVIDIA/nccl's words, `NCCL_DEBUG=INFO`); mpiexec prints nccl-tests' report.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

from knowngood.twin.stand_ins import hardware

PATIENCE = 60.0
IN_BYTES = 0.97 / 8
"""GB/s of bus bandwidth for each Gb/s of all rails: two nodes' ring is as fast as their NICs together."""
BY_SOCKETS = 3.1
"""GB/s where NCCL falls back to TCP (NVIDIA/aicr ADR-025)."""
FLAGS = "--rmk user --launcher manual --demux poll --pgid 0 --retries 10 --usize -1 --pmi-port 0"


def main(argv: list[str]) -> int:
    """By the name by which it was started."""
    return _proxy(argv[1:]) if os.path.basename(argv[0]) == "hydra_pmi_proxy" else _mpiexec(argv[1:])


def _value(words: list[str], option: str, default: str = "") -> str:
    return words[words.index(option) + 1] if option in words else default


def _mpiexec(words: list[str]) -> int:
    hosts = _value(words, "-hosts").split(",")
    each, size = int(_value(words, "-ppn", "1")), int(_value(words, "-b", "8"))
    with socket.socket() as door:
        door.bind((_value(words, "-localhost", hosts[0]), 0))
        door.listen()
        door.settimeout(PATIENCE)
        place = f"{_value(words, '-localhost', hosts[0])}:{door.getsockname()[1]}"
        for number in range(len(hosts)):
            print(f"HYDRA_LAUNCH: /usr/bin/hydra_pmi_proxy --control-port {place} {FLAGS}", end=" ")
            print(f"--gpus-per-proc -2 --gpu-subdevs-per-proc -2 --proxy-id {number} ")
        print("HYDRA_LAUNCH_END", flush=True)
        lines = [door.accept()[0] for _ in hosts]
    said = {}
    files = [line.makefile("rw") for line in lines]
    for file in files:
        one = json.loads(file.readline())
        said[one["proxy"]] = (one, file)
    sides = [said[number][0] for number in range(len(hosts))]
    sockets = any(one["sockets"] for one in sides)
    for number in range(len(hosts)):
        order = {"each": each, "nodes": len(hosts), "sockets": sockets, "others": [s["node"] for s in sides]}
        said[number][1].write(json.dumps(order) + "\n")
        said[number][1].flush()
    for number in range(len(hosts)):
        sides[number]["shares"] = json.loads(said[number][1].readline())
    _report(sides, each, size, sockets=sockets)
    return 0


def _report(sides: list[dict[str, object]], each: int, size: int, *, sockets: bool) -> None:
    print(
        "# nccl-tests version 2.19.6 nccl-headers=22703 nccl-library=22703\n# Collective test starting: all_reduce_perf"
    )
    print("#\n# Using devices")
    for number, one in enumerate(sides):
        for local in range(each):
            rank, name = number * each + local, one["node"]
            where = f"on {name:>10} device {local:2} [0000:18:00] NVIDIA H200"
            print(f"#  Rank {rank:2} Group  0 Pid {4711 + rank:6} {where}")
    rates = [one["rates"] for one in sides]
    shares = [one["shares"] for one in sides]
    rails = min(len(r) for r in rates)  # type: ignore[arg-type]
    slowest = min(rates[s][k] * shares[s][k] for s in range(2) for k in range(rails))  # type: ignore[index]
    bus = BY_SOCKETS if sockets else slowest * rails * IN_BYTES
    alg = bus / (2 * (2 * each - 1) / (2 * each))
    us = size / 1e3 / alg
    half = f"  {us:7.0f}  {alg:6.2f}  {bus:6.2f}  {0:6g}"
    columns = f"{'time':>7}  {'algbw':>6}  {'busbw':>6}  {'#wrong':>6}"
    units = f"{'(us)':>7}  {'(GB/s)':>6}  {'(GB/s)':>6}  {'':>6}"
    print(
        f"#\n# {'':10}  {'':12}  {'':8}  {'':6}  {'':6}           out-of-place                       in-place          "
    )
    print(f"# {'size':>10}  {'count':>12}  {'type':>8}  {'redop':>6}  {'root':>6}  {columns}  {columns} ")
    print(f"# {'(B)':>10}  {'(elements)':>12}  {'':8}  {'':6}  {'':6}  {units}  {units} ")
    print(f"{size:12}  {size // 4:12}  {'float':>8}  {'sum':>6}  {-1:6}{half}{half}")
    print(f"# {'Out of bounds values':20} : 0 OK")
    print(f"# {'Avg bus bandwidth':20} : {bus:g} \n#\n# Collective test concluded: all_reduce_perf")


def _proxy(words: list[str]) -> int:
    host, _, port = _value(words, "--control-port").rpartition(":")
    number = int(_value(words, "--proxy-id"))
    sides = [side for name in hardware.devices() if (side := hardware.side(name)) is not None]
    if hardware.ails(hardware.HANGS):
        signal.pause()
    with socket.create_connection((host, int(port)), PATIENCE) as line, line.makefile("rw") as file:
        own = {
            "proxy": number,
            "node": hardware.node(),
            "rates": [s.rate for s in sides],
            "sockets": hardware.ails(hardware.SOCKETS),
        }
        file.write(json.dumps(own) + "\n")
        file.flush()
        order = json.loads(file.readline())
        _logs(number, order)
        (other,) = (node for node in order["others"] if node != hardware.node())
        file.write(json.dumps([hardware.share(side.device, other) for side in sides]) + "\n")
        file.flush()
    return 0


def _logs(number: int, order: dict[str, object]) -> None:
    """NCCL's log of this node's ranks: a process each, as torchrun and mpiexec start them."""
    each, nodes = int(str(order["each"])), int(str(order["nodes"]))
    way = "NET/Socket/0" if hardware.ails(hardware.SOCKETS) else "NET/IB/{nic}/GDRDMA"
    name = hardware.node()
    for local in range(each):
        rank, pid = number * each + local, 5000 + local
        after = (rank + 1) % (each * nodes)
        here = f"{name}:{pid}:{pid + 100} [{local}] NCCL INFO"
        bus = f"{0x18 + local:x}000"
        via = way.format(nic=local) if after // each != number else "P2P/CUMEM"
        lines = ["NCCL version 2.27.3+cuda12.8"]
        if "IB" in way:
            lines += [f"{here} Using network IB", f"{here} DMA-BUF is available on GPU device {local}"]
        else:
            lines += [f"{here} NET/IB : No device found.", f"{here} Using network Socket"]
        text = (
            f"rank {rank} nranks {each * nodes} cudaDev {local} nvmlDev {local} busId {bus} commId 0x1c7bf5e2"
        )
        lines += [
            f"{here} ncclCommInitRank comm 0x55d1c2b7e2a0 {text} - Init START",
            f"{here} Channel 00/0 : {rank}[{local}] -> {after}[{after % each}] [send] via {way.format(nic=local)}"
            if after // each != number
            else f"{here} Channel 00/0 : {rank}[{local}] -> {after}[{after % each}] via {via}",
        ]
        if local == 0:  # what comes from the other node
            before = (rank - 1) % (each * nodes)
            lines.append(
                f"{here} Channel 00/0 : {before}[{before % each}] -> {rank}[0] [receive] via {way.format(nic=0)}"
            )
        path = os.environ["NCCL_DEBUG_FILE"].replace("%h", name).replace("%p", str(pid))
        with open(path, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
