"""A failure domain of BMCs, and a Lease that outlives a flash: none of it is begun while another may be at work.

The run's own Lease ends soon after its runner does; what a BMC was asked to do goes on. This one is taken for as long
as that may take, and is not renewed. A run that resumes finds its own name on it.
"""

from __future__ import annotations

import contextlib
import hashlib
import math
from datetime import UTC, datetime

from knowngood.adapters.cluster import redfish
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.adapters.kubernetes.lease import LEASES, holding, micro_time
from knowngood.adapters.movers.watch import UNREADABLE
from knowngood.adapters.nodes.batch import NotTold, Task
from knowngood.model.errors import KnowngoodError, Unreachable
from knowngood.model.mover import Firmware
from knowngood.model.names import (
    DOMAIN_ANNOTATION,
    FLASH_LEASE_PREFIX,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    NAMESPACE,
)


class FlashLease:
    """One domain's. `holder`: run and node; `seconds`: until what is begun must have ended."""

    def __init__(self, kube: Kube, domain: str, holder: str, seconds: float) -> None:
        self._kube, self._domain, self._holder = kube, domain, holder
        self._seconds = max(1, math.ceil(seconds))
        digest = hashlib.sha256(domain.encode()).hexdigest()
        self._name = f"{FLASH_LEASE_PREFIX}{digest[:16]}"
        self._where = path("coordination.k8s.io/v1", "leases", self._name, NAMESPACE)

    def take(self) -> str:
        """Take it, or have it anew from now on; returns who holds it instead, "" once it is ours."""
        found = self._kube.find(self._where)
        held, renewed = holding(found, datetime.now(UTC))
        if held and held != self._holder and renewed is not False:
            return held
        try:
            if found is None:
                self._kube.create(LEASES, self._object({}))
            else:
                self._kube.replace(self._where, self._object(found))
        except ApiError as error:
            if not error.conflict:
                raise
            return "somebody else, just now"
        return ""

    def give(self) -> None:
        """Let others have it; one that can't be given back runs out by itself."""
        with contextlib.suppress(KnowngoodError):
            found = self._kube.find(self._where)
            if found is not None and holding(found, datetime.now(UTC))[0] == self._holder:
                spec = {k: v for k, v in found["spec"].items() if k != "holderIdentity"}
                self._kube.replace(self._where, {**found, "spec": spec})

    def _object(self, found: Object) -> Object:
        before, now = found.get("spec") or {}, micro_time()
        spec = {
            "holderIdentity": self._holder,
            "leaseDurationSeconds": self._seconds,
            "acquireTime": before.get("acquireTime", now)
            if before.get("holderIdentity") == self._holder
            else now,
            "renewTime": now,
            "leaseTransitions": int(before.get("leaseTransitions") or 0)
            + (before.get("holderIdentity") != self._holder),
        }
        metadata = found.get("metadata") or {
            "name": self._name,
            "namespace": NAMESPACE,
            "labels": {MANAGED_BY_LABEL: MANAGED_BY},
            "annotations": {DOMAIN_ANNOTATION: self._domain},
        }
        return {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": metadata,
            "spec": spec,
        }


class FailureDomain:
    """Of what only one is flashed at a time: BMCs of one domain, by the label that the cluster file names; a machine.

    `seconds`: until what is begun must have ended. NotTold where a node says nothing of its domain.
    """

    def __init__(self, task: Task, name: str, firmware: Firmware, node: Object, seconds: float) -> None:
        self._task, self._name = task, name
        self._bmcs = firmware is Firmware.MANAGER
        self._mine, label = self._of(node), task.bmcs.domain
        if self._bmcs and label and not self._mine:
            raise NotTold(f"its failure domain can't be told: it has no label {label}")
        what = (f"{label}={self._mine}" if label else "all BMCs") if self._bmcs else f"machine {name}"
        self._lease = FlashLease(task.kube, what, f"{task.run}/{name}", seconds)

    def take(self) -> str:
        """Make it ours; for whom it waits, in words, "" once it is."""
        holder = self._lease.take()
        return f"waits for {holder}, of its failure domain, which is flashed" if holder else ""

    def give(self) -> None:
        """Let others have it."""
        self._lease.give()

    def away(self) -> str:
        """Why a BMC of it must not be away now: another one does not answer. Of a machine nothing is asked."""
        if not self._bmcs:
            return ""
        if self._name not in self._task.machines:
            raise NotTold("it is none of the cluster's machines, so that its failure domain can't be asked")
        for other in self._task.kube.list(path("v1", "nodes"), keep=_slim):
            name = str(other["metadata"]["name"])
            if name == self._name or name not in self._task.machines or self._of(other) != self._mine:
                continue
            try:
                redfish.bmc_of(self._task.bmcs, name).root()
            except Unreachable as error:
                return f"the BMC of {name}, of its failure domain, {UNREADABLE}: {error}"
        return ""

    def _of(self, node: Object) -> str:
        label = self._task.bmcs.domain
        return str((node["metadata"].get("labels") or {}).get(label) or "") if label else ""


def _slim(node: Object) -> Object:
    return {"metadata": {key: node["metadata"].get(key) for key in ("name", "labels")}}
