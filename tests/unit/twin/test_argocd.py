"""What Argo CD says of an Application whose drift it could not undo."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from knowngood.twin.behaviours.argocd import ArgoCd, _Memory
from knowngood.twin.behaviours.context import Clock
from knowngood.twin.values import Object

APPLICATION: Object = {
    "metadata": {"name": "gpu"},
    "spec": {"syncPolicy": {"automated": {"selfHeal": True}}},
    "status": {"operationState": {"phase": "Succeeded"}},
}


class Healing(ArgoCd):
    """Something has drifted, and applying it ends in `problem`."""

    def __init__(self, problem: str) -> None:
        twin: Any = SimpleNamespace(cache=None, api=None, clock=Clock(300.0))
        super().__init__(twin)
        self.problem = problem
        self.said: list[bool] = []

    async def _drifted(self, rendered: list[Object], app: Object) -> bool:
        return True

    async def _apply_all(self, app: Object, memory: _Memory) -> str:
        return self.problem

    async def _write(self, app: Object, memory: _Memory, *, synced: bool, **extra: object) -> None:
        self.said.append(synced)


@pytest.mark.parametrize(("problem", "synced"), [("", True), ("a webhook refused it", False)])
def test_a_drift_that_could_not_be_undone_is_not_called_synced(problem: str, synced: bool) -> None:
    argo = Healing(problem)
    asyncio.run(argo._heal(APPLICATION, _Memory(tried="c1", rendered_of="c1")))
    assert argo.said == [synced]
