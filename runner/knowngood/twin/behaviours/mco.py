"""The machine-config operator: its controllers for pools, drains and rendered configs."""

from __future__ import annotations

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.mco_drains import Drains
from knowngood.twin.behaviours.mco_faults import McoFaults
from knowngood.twin.behaviours.mco_pools import Pools
from knowngood.twin.behaviours.mco_render import Rendering


class MachineConfigOperator(Controller):
    """Started together, left out together; the daemons on the nodes are a behaviour of their own."""

    name = "machine-config-operator"

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._parts = (Rendering(twin), Pools(twin), Drains(twin))

    async def start(self) -> None:
        """Start them all."""
        for part in self._parts:
            await part.start()
        McoFaults(self.twin).start()
