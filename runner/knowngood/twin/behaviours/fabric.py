"""The fabric between nodes: the tools that measure it, and what ails a link so that only a partner notices.

/sys and the counters show nothing of such a fault; what the tools print does (knowngood.twin.stand_ins).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from knowngood.twin.behaviours.context import Twin
from knowngood.twin.behaviours.meeting import TOOLS
from knowngood.twin.faults import FABRIC, Fault
from knowngood.twin.stand_ins.hardware import AILMENTS

PROGRAMS = {
    "ib_write_bw": "perftest",
    "ib_read_lat": "perftest",
    "mpiexec": "hydra",
    "hydra_pmi_proxy": "hydra",
}
"""A tool's name -> the module that stands in for it."""
PROGRAM = """#!{python} -IS
import sys
sys.path.insert(0, {package!r})
from knowngood.twin.stand_ins.{module} import main
sys.exit(main(sys.argv))
"""


class Fabric:
    """Writes down on each node what ails its links; the tools that stand in there read it."""

    def __init__(self, twin: Twin) -> None:
        self._twin = twin
        self._there: dict[str, tuple[Fault, str]] = {}  # by the fault's uid
        for name in FABRIC:
            twin.handlers[name] = self._strike
            twin.enders[name] = self._clear
        lay_out(twin.pods_dir.parent / TOOLS, twin.python_path)

    async def _strike(self, fault: Fault, node: str) -> None:
        self._there[fault.uid] = (fault, node)
        self._write()
        self._twin.faults.hit(fault)

    async def _clear(self, fault: Fault, _node: str) -> None:
        self._there.pop(fault.uid, None)
        self._write()

    def _write(self) -> None:
        for name, machine in self._twin.world.machines.items():
            found = [
                {"fault": fault.name, "nic": fault.param("nic"), "peer": fault.param("peer")}
                for fault, node in self._there.values()
                if node in ("", name)
            ]
            if found or (machine.root / AILMENTS).exists():
                machine.write_files({AILMENTS: json.dumps(found)})


def lay_out(folder: Path, package: str) -> None:
    """Write the tools, so that a pod's process finds them in its PATH."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, module in PROGRAMS.items():
        program = folder / name
        program.write_text(
            PROGRAM.format(python=sys.executable, package=package, module=module), encoding="utf-8"
        )
        program.chmod(0o755)
