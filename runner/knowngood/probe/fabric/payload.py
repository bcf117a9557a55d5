"""The fabric payload: this node's part of all rounds. It measures and tells; what that means is the gate's to say."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Any

from knowngood.probe.answer import Answer, good, unmeasured
from knowngood.probe.fabric import meeting, pair
from knowngood.probe.fabric.meeting import Line, Lost, NotMet
from knowngood.probe.fabric.ports import Port, chosen
from knowngood.probe.host import Host
from knowngood.probe.values import Values

PORT = 17300
"""The first of the TCP ports by which probes meet, a round each; their tools' come after it."""
TOOLS = 17400
"""The first of the TCP ports of a round's tools: three for each rail. A pod has one partner at a time."""
MEET, DONE = 0.4, 0.85
"""Shares of the payload's time by which the first round must have begun, and the last one."""
SIZE, SECONDS = 8 << 20, 5.0
"""Bytes of a message (Azure/azurehpc-health-checks conf/nd96isr_h200_v5.conf), seconds of a test (a proposal)."""
NCCL_BYTES, NCCL_ROUNDS, NCCL_SECONDS = 4 << 30, 20, 120.0
"""Bytes of the all-reduce (GoogleCloudPlatform/cluster-health-scanner a3ultra.yaml: 2 to 8 GB), how many, and seconds
within which all is over, the start of the ranks included (proposals)."""


def run(host: Host, params: Values) -> Answer:
    """Meet the others in rounds. `params`: gpus, deadline and `fabric`: session, rounds (of pairs of nodes), names (of
    the nodes' pods), compute (which ports), rdmaMode, nvswitch, and the profile's seconds, bytes, gidIndex, nccl.

    measured: node, parts (of this node's ports), ncclEnvironment, rounds [{round, with, links, nccl, why}].
    """
    asked: Values = params.get("fabric") or {}
    node = os.environ.get("NODE_NAME", "")
    began, seconds = time.monotonic(), float(params.get("deadline", 300.0))
    gpus = int(params.get("gpus", 0))
    ports, trouble = chosen(host, asked.get("compute") or {}, gpus)
    measured: dict[str, Any] = {"node": node, "parts": [p.part for p in ports], "rounds": []}
    measured["ncclEnvironment"] = {k: v for k, v in sorted(os.environ.items()) if k.startswith("NCCL_")}
    own = refusal(host, gpus)
    if trouble or own:
        return unmeasured("", trouble or own, measured)
    rounds: Sequence[Sequence[Sequence[str]]] = asked.get("rounds") or []
    for number, pairs in enumerate(rounds):
        mine = [pair_ for pair_ in pairs if node in pair_]
        if not mine:
            continue
        one, other = mine[0]
        share = MEET + (DONE - MEET) * number / max(1, len(rounds))
        work = _work(asked, node, (one, other), ports, gpus)
        found: dict[str, Any] = {"round": number, "with": work.them, "links": [], "nccl": {}, "why": ""}
        measured["rounds"].append(found)
        _meet(work, number, began + share * seconds, f"{asked.get('session', '')}/{number}", found)
    if any(found["links"] for found in measured["rounds"]):
        return good("", measured)
    whys = dict.fromkeys(f"{found['with']}: {found['why']}" for found in measured["rounds"])
    return unmeasured("", f"it met nobody: {'; '.join(whys) or 'no round has it'}", measured)


def refusal(host: Host, gpus: int) -> str:
    """Why nothing can be measured here; "" where it can: what the node's state means is other gates' to say."""
    found = host.refusal(gpus)
    return "" if found is None else str(found["reason"])


def _meet(work: pair.Work, number: int, until: float, session: str, found: dict[str, Any]) -> None:
    def enter(line: Line) -> None:
        pair.run(line, work, found)

    ours, theirs = f"{session}/{work.us}", f"{session}/{work.them}"
    try:
        if work.first:
            with meeting.host(work.address, PORT + number, theirs, until) as line:
                enter(line)
        else:
            with meeting.visit(work.their_address, PORT + number, ours, until) as line:
                enter(line)
    except (NotMet, Lost) as error:
        found["why"] = str(error)
    except (
        KeyError,
        TypeError,
        ValueError,
        IndexError,
    ) as error:  # what the partner said was not what was agreed
        found["why"] = f"what it said can't be used: {type(error).__name__}"


def _work(asked: Values, node: str, both: tuple[str, str], ports: Sequence[Port], gpus: int) -> pair.Work:
    them = both[1] if node == both[0] else both[0]
    names = asked["names"]
    return pair.Work(
        first=node == both[0],
        us=node,
        them=them,
        address=str(names[node]),
        their_address=str(names[them]),
        base=TOOLS,
        ports=ports,
        dma_buf=asked.get("rdmaMode") == "dma-buf",
        size=int(asked.get("bytes", SIZE)),
        seconds=float(asked.get("seconds", SECONDS)),
        gid_index=int(asked["gidIndex"]) if "gidIndex" in asked else None,
        gpus=gpus,
        nccl_bytes=int(asked.get("ncclBytes", NCCL_BYTES)),
        nccl_rounds=NCCL_ROUNDS,
        nccl_seconds=float(asked.get("ncclSeconds", NCCL_SECONDS)),
        settings={str(k): str(v) for k, v in (asked.get("nccl") or {}).items()},
        nvswitch=bool(asked.get("nvswitch")),
        rdma_mode=str(asked.get("rdmaMode", "none")),
    )
