"""Two and more nodes measure between each other: real processes and connections, stand-ins for tools and hardware."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from knowngood.planner.pairs import rounds
from knowngood.twin import host_files
from knowngood.twin.behaviours.fabric import lay_out
from knowngood.twin.behaviours.meeting import address_of
from knowngood.twin.seed import NodeSeed
from knowngood.twin.stand_ins.hardware import AILMENTS, HALF, LOSES, SOCKETS

PACKAGE = Path(__file__).parents[4] / "runner"
RAILS = GPUS = 2
DRIVER = "580.105.08"
Told = dict[str, dict[str, Any]]


class Fabric:
    """Nodes with roots and addresses of their own, and the payload on each."""

    def __init__(self, folder: Path, nodes: Sequence[str]) -> None:
        self.folder, self.nodes = folder, nodes
        lay_out(folder / "tools", str(PACKAGE))
        for node in nodes:
            self._host(NodeSeed(name=node, role="gpu", gpus=GPUS, nics=RAILS, nicModel="ConnectX-7"))

    def _host(self, seed: NodeSeed) -> None:
        files = dict(host_files.nvidia_proc(seed, DRIVER, host_files.OPEN, host_files.gpu_addresses(seed)))
        for module in ("nvidia", "nvidia_uvm"):
            files |= host_files.module(module, DRIVER)
        for index in range(RAILS):
            files |= host_files.nic(seed, index)
        files |= {f"usr/lib64/libcuda.so.{DRIVER}": "", "proc/sys/kernel/random/boot_id": f"{'0' * 32}\n"}
        for path, text in files.items():
            (target := self.root(seed.name) / path).parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)

    def root(self, node: str) -> Path:
        return self.folder / "nodes" / node

    def ail(self, node: str, *ailments: Mapping[str, str]) -> None:
        (path := self.root(node) / AILMENTS).parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([{"nic": "", "peer": "", **one} for one in ailments]))

    def address(self, node: str) -> str:
        return address_of(str(self.folder), node)

    def play(self, coming: Sequence[str] | None = None, deadline: float = 40.0, **more: Any) -> Told:
        """Run the payload on all nodes that come, side by side; node -> its answer."""
        asked = {
            "session": "s",
            "rounds": rounds(self.nodes, 3),
            "names": {n: self.address(n) for n in self.nodes},
            "compute": {"count": RAILS},
            "rdmaMode": "dma-buf",
            **more,
        }
        params = json.dumps({"gpus": GPUS, "fabric": asked})
        command = [sys.executable, "-m", "knowngood.probe", "run", "fabric", "--params", params]
        command += ["--deadline", str(deadline)]
        running = {
            node: subprocess.Popen(
                [*command, "--root", str(self.root(node))],
                env=self._environment(node),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            for node in (self.nodes if coming is None else coming)
        }
        found = {}
        for node, process in running.items():
            out, _ = process.communicate(timeout=deadline + 75)
            found[node] = json.loads(out.splitlines()[-1])["results"]["fabric"]
        return found

    def _environment(self, node: str) -> dict[str, str]:
        path = os.pathsep.join([str(self.folder / "tools"), os.environ["PATH"]])
        here = {"NODE_NAME": node, "TWIN_HOST": str(self.root(node)), "TWIN_ADDRESS": self.address(node)}
        return {**os.environ, **here, "PATH": path, "PYTHONPATH": str(PACKAGE)}


@pytest.fixture
def fabric(tmp_path: Path) -> Callable[..., Fabric]:
    return lambda *nodes: Fabric(tmp_path, nodes)


def only(told: Told, node: str) -> dict[str, Any]:
    (found,) = told[node]["measured"]["rounds"]
    return dict(found)


def test_a_healthy_pair_measures_every_rail_both_ways_and_nccl(fabric: Callable[..., Fabric]) -> None:
    told = fabric("a", "b").play()
    assert {n: x["ok"] for n, x in told.items()} == {"a": True, "b": True}, told
    mine, theirs = only(told, "a"), only(told, "b")
    assert (mine["with"], theirs["with"], mine["why"]) == ("b", "a", "")
    for link in mine["links"]:
        assert {*link["gbps"]} == {"a", "b"}
        assert all(385 < rate < 392 for rate in link["gbps"].values())
        assert 3 < link["latencyUs"] < 5
        assert (link["dead"], link["own"], link["plain"], link["why"]) == ("", {}, [], "")
        assert link["ends"]["a"] == f"{host_files.nic_address(link['rail'])}/1"
    assert [x["gbps"] for x in mine["links"]] == [x["gbps"] for x in theirs["links"]]
    assert (mine["nccl"]["ranks"], mine["nccl"]["hosts"], mine["nccl"]["wrong"]) == (4, 2, 0)
    assert mine["nccl"]["busGBps"] == theirs["nccl"]["busGBps"] > 90
    for node in ("a", "b"):
        own = mine["nccl"]["own"][node]
        assert (own["found"], own["dmaBuf"], "NET/IB/GDRDMA" in own["via"]) == ([], GPUS, True)


def test_what_ails_a_link_is_measured(fabric: Callable[..., Fabric]) -> None:
    here = fabric("a", "b")
    here.ail("a", {"fault": HALF, "nic": "0"}, {"fault": LOSES, "nic": "1"})
    here.ail("b", {"fault": SOCKETS})
    found = only(here.play(), "b")
    half, dead = found["links"]
    assert all(190 < rate < 197 for rate in half["gbps"].values())
    assert "transport retry counter exceeded" in dead["dead"]
    assert dead["gbps"] == {}
    said = found["nccl"]["own"]
    assert [one["ok"] for one in said["b"]["found"]] == [False] * GPUS
    assert all("sockets" in one["words"] for one in said["b"]["found"])
    assert found["nccl"]["busGBps"] < 4


def test_a_rail_of_a_slow_switch_is_slow_at_both_ends(fabric: Callable[..., Fabric]) -> None:
    here = fabric("a", "b")
    for node in ("a", "b"):
        here.ail(node, {"fault": "rail-at-half-rate", "nic": "0"})
    slow, good = only(here.play(), "a")["links"]
    assert all(190 < rate < 197 for rate in slow["gbps"].values())
    assert all(385 < rate < 392 for rate in good["gbps"].values())


@pytest.mark.slow
def test_four_nodes_meet_in_three_rounds(fabric: Callable[..., Fabric]) -> None:
    told = fabric("a", "b", "c", "d").play(seconds=1)
    for node, answer in told.items():
        met = {one["with"] for one in answer["measured"]["rounds"] if one["nccl"].get("busGBps")}
        assert met == {"a", "b", "c", "d"} - {node}


@pytest.mark.slow
def test_who_does_not_come_is_named_and_the_others_go_on(fabric: Callable[..., Fabric]) -> None:
    told = fabric("a", "b", "c").play(coming=["a", "b"], deadline=20.0)
    for node, other in (("a", "b"), ("b", "a")):
        assert told[node]["ok"] is True
        by = {one["with"]: one for one in told[node]["measured"]["rounds"]}
        assert by[other]["nccl"]["busGBps"] > 90
        assert (by["c"]["links"], bool(by["c"]["why"])) == ([], True)


def test_alone_nothing_was_measured(fabric: Callable[..., Fabric]) -> None:
    told = fabric("a", "b").play(coming=["a"], deadline=3.0)
    assert told["a"]["ok"] is None
    assert "it met nobody: b: it did not come" in told["a"]["reason"]


def test_a_tool_that_is_not_in_the_image_says_nothing_of_the_link(fabric: Callable[..., Fabric]) -> None:
    here = fabric("a", "b")
    for tool in ("ib_read_lat", "mpiexec"):
        (here.folder / "tools" / tool).unlink()
    found = only(here.play(), "a")
    for link in found["links"]:
        assert len(link["gbps"]) == 2
        assert "latencyUs" not in link
        assert "ib_read_lat is not in this image" in link["why"]
    assert "mpiexec is not in this image" in found["nccl"]["why"]


@pytest.mark.slow
def test_a_partner_that_hangs_is_left_at_the_deadline_and_leaves_nothing_behind(
    fabric: Callable[..., Fabric],
) -> None:
    here = fabric("a", "b")
    here.ail("b", {"fault": "fabric-tool-hangs"})
    for deadline in (15.0, 45.0, 135.0):  # on a busy machine they meet later: then they are given more
        told = here.play(deadline=deadline, seconds=3600)  # the tool's own limit is never the first to pass
        assert told["a"]["ok"] is None
        if over := f"did not end within {deadline:.0f} s" in told["a"]["reason"]:
            break
    assert over, told["a"]["reason"]
    ends = time.monotonic() + 30
    while left := running(here.folder / "tools"):  # what was killed takes its time to go
        assert time.monotonic() < ends, left
        time.sleep(0.1)


def running(folder: Path) -> list[str]:
    """Processes of a program in a folder."""
    found = subprocess.run(["pgrep", "-f", str(folder)], check=False, capture_output=True, text=True)
    return found.stdout.split()
