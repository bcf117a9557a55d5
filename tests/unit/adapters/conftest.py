"""The API of the fakes has no exec: a driver pod prints what a node that runs the old driver shows."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.adapters.machines import OLD

from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.kubernetes.pod_exec import Ran

BOOT = "0f0f0f0f-0f0f-0f0f-0f0f-0f0f0f0f0f0f"
PRINTED = f"""/proc/sys/kernel/random/boot_id:{BOOT}
/proc/uptime:1000.25 9000.0
/sys/module/nvidia/version:{OLD}
"""


@pytest.fixture(autouse=True)
def _exec(monkeypatch: pytest.MonkeyPatch) -> None:
    def run(kube: Kube, *_where: Any, **_options: Any) -> Ran:
        kube.counted()
        return Ran(PRINTED, "", 0)

    monkeypatch.setattr(pod_exec, "run", run)
