"""What mig_layout must say of a node."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from tests.unit.gates.faults.fault import Empty, Fault, Spoil
from tests.unit.gates.faults.recorded import Recorded

from knowngood.adapters.cluster.gpu_config import GpuConfig
from knowngood.gate.driver import LIST, QUERY
from knowngood.model.verdict import Verdict

STATE = "mig.config.state"


def without_a_device(text: str) -> str:
    lines = text.splitlines(keepends=True)
    gone = next(line for line in lines if "MIG 1g.18gb" in line)
    lines.remove(gone)
    return "".join(lines)


def moved(node: Recorded) -> None:
    """An instance that lies elsewhere: as many as before, not in the same places."""
    root = node.machine.root / "proc/driver/nvidia/capabilities/gpu3/mig"
    shutil.move(root / "gi2", root / "gi12")


def by_hand(node: Recorded) -> None:
    """Somebody put a GPU of a whole node into MIG mode."""
    node.edited(QUERY, "<current_mig>Disabled", "<current_mig>Enabled", 3)


PASS: Mapping[str, Spoil] = {"as it was": lambda _: None}
FAULTS: Mapping[str, Fault] = {
    "a device that is gone": Fault(
        lambda n: n.printed.update({LIST: without_a_device}),
        "0000:18:00.0 has 6 x 1g.18gb, its layout 7 x 1g.18gb",
        base="mig",
    ),
    "another place": Fault(moved, "gpu3 has instances", base="mig"),
    "mig-manager failed": Fault(
        lambda n: n.labelled(mig_config_state="failed"),
        "mig-manager says failed",
        base="mig",
        also={"drift": "MIG layout all-1g.18gb is failed"},
    ),
    "mig-manager at work": Fault(
        lambda n: n.labelled(mig_config_state="pending"),
        "mig-manager is at work",
        Verdict.INCONCLUSIVE,
        base="mig",
        also={"drift": ""},
    ),
    "a mode that waits for a reset": Fault(
        lambda n: n.edited(QUERY, "<pending_mig>Disabled", "<pending_mig>Enabled", 3),
        "0000:5d:00.0 waits for a reset to change its MIG mode",
    ),
    "no MIG where a layout asks for it": Fault(
        lambda n: n.edited(QUERY, "<current_mig>Enabled", "<current_mig>Disabled", 3),
        "0000:5d:00.0",
        base="mig",
        also={"driver_health": ""},
    ),
}
EMPTY: Mapping[str, Empty] = {
    "no list of devices": Empty(
        lambda n: n.printed.update({LIST: lambda _: ""}), "", base="mig", verdict=Verdict.FAIL
    ),
    "no layout of that name": Empty(
        lambda n: setattr(n, "config", GpuConfig(policy=True, mig_trouble="there is no ConfigMap")),
        "there is no ConfigMap",
        base="mig",
    ),
    "no GPU": Empty(lambda n: n.printed.update({QUERY: lambda _: ""}), "can't be read"),
}
