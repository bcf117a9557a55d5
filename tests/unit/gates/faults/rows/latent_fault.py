"""What latent_fault must say of a node that was loaded a second time."""

from __future__ import annotations

from collections.abc import Mapping

from tests.unit.gates.faults.fault import Empty, Fault, Spoil
from tests.unit.gates.faults.machine import DRIVER, NODE
from tests.unit.gates.faults.recorded import Recorded

from knowngood.model.context import Window
from knowngood.model.verdict import Verdict

OTHER = "595.91.07"
GONE = "no driver was loaded on this boot"


def only_once(node: Recorded) -> None:
    """The load that is there is the first one."""
    node.asked["first_loads"] = {NODE: Window(node.machine.boot_id, node.up(), "")}


def gone(node: Recorded) -> None:
    only_once(node)
    node.asked["not_again"] = {NODE: GONE}


PASS: Mapping[str, Spoil] = {"as it was": lambda _: None}
FAULTS: Mapping[str, Fault] = {
    "it did not come again": Fault(gone, f"{GONE}; it had come once, at"),
    "nothing was loaded anew": Fault(
        only_once, "nothing was loaded since the first time", Verdict.INCONCLUSIVE
    ),
    "it came as another": Fault(
        lambda n: n.machine.write("sys/module/nvidia/version", f"{OTHER}\n"),
        f"nvidia-driver is {OTHER}, it was proven as {DRIVER}",
        also={"drift": f"nvidia-driver is {OTHER}"},
    ),
}
EMPTY: Mapping[str, Empty] = {
    "no first load": Empty(lambda n: n.asked.update(first_loads={}), "can't be told"),
    "no file can be read": Empty(lambda n: setattr(n, "silent", "the pod is gone"), "can't be read"),
}
