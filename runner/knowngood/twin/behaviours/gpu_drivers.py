"""The GPU Operator's NVIDIADriver objects: whose each node is, their DaemonSets, their states.

As 26.7: one OnDelete DaemonSet a pool of nodes, gone when no node is left in it; two objects that match one node
stop all of them, cluster-wide; an object whose nodes lost their driver says `ready` all the same.
"""

from __future__ import annotations

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.driver_manifests import Surroundings, driver_daemon_set, refusal
from knowngood.twin.behaviours.gpu_fleet import Fleet
from knowngood.twin.behaviours.gpu_manifests import MANAGER_CONTAINER, OWNER_LABEL
from knowngood.twin.behaviours.gpu_states import (
    OPERATOR_CAME,
    SPEC_HASH,
    apply,
    error,
    is_observed,
    is_ready,
    ready,
    remove_others,
    surroundings,
    write_state,
)
from knowngood.twin.behaviours.kube import (
    CLUSTER_POLICY,
    DAEMON_SET,
    NODE,
    NVIDIA_DRIVER,
    annotations_of,
    controller_of,
    deleting,
    digest,
    labels_of,
    name_of,
    namespace_of,
)
from knowngood.twin.behaviours.node_pools import Pool
from knowngood.twin.values import Object

OWNERS = ("owners", "")
Key = tuple[str, str]  # what is worked on, and the driver's name


class NvidiaDrivers(Controller):
    """Assigns nodes, and works on one NVIDIADriver at a time."""

    name = "nvidia-driver-controller"
    watches = (NODE, DAEMON_SET, CLUSTER_POLICY, NVIDIA_DRIVER)

    def __init__(self, twin: Twin) -> None:
        super().__init__(twin)
        self._fleet = Fleet(openshift=bool(twin.seed.openshift))
        self._trouble = ""
        self._generations: dict[str, int] = {}  # of ClusterPolicies

    def listen(self) -> None:
        """Specs of our objects, labels of nodes, DaemonSets that are ours."""
        for driver in self.cache.all(NVIDIA_DRIVER):
            self._fleet.set_driver(driver)
        for node in self.cache.all(NODE):
            self._fleet.set_node(name_of(node), labels_of(node))
        self.cache.listen(NVIDIA_DRIVER, self._driver_changed)
        self.cache.listen(NODE, self._node_changed)
        self.cache.listen(CLUSTER_POLICY, self._policy_changed)
        self.cache.listen(DAEMON_SET, self._daemon_set_changed)
        self.twin.events.listen(lambda event: self._everything() if event["event"] in OPERATOR_CAME else None)
        self._everything()

    def _everything(self) -> None:
        self.enqueue(OWNERS)
        for driver in self.cache.all(NVIDIA_DRIVER):
            self.enqueue(("driver", name_of(driver)))

    def _driver_changed(self, event: str, driver: Object) -> None:
        gone = event == "DELETED" or deleting(driver)
        different = self._fleet.drop_driver(name_of(driver)) if gone else self._fleet.set_driver(driver)
        generation = driver["metadata"].get("generation", 1)
        seen = self._generations.get(driver["metadata"]["uid"])
        self._generations[driver["metadata"]["uid"]] = generation
        if different or gone or seen != generation:
            self._everything()

    def _policy_changed(self, _event: str, policy: Object) -> None:
        generation = policy["metadata"].get("generation", 1)
        if self._generations.get(policy["metadata"]["uid"]) != generation:
            self._generations[policy["metadata"]["uid"]] = generation
            self._everything()

    def _node_changed(self, event: str, node: Object) -> None:
        if event == "DELETED":
            self._fleet.drop_node(name_of(node))
            self._everything()
            return
        owners, pools = self._fleet.set_node(name_of(node), labels_of(node))
        if owners:
            self.enqueue_soon(OWNERS)
        if owners or pools:
            for driver in self.cache.all(NVIDIA_DRIVER):
                self.enqueue_soon(("driver", name_of(driver)))

    def _daemon_set_changed(self, _event: str, daemon_set: Object) -> None:
        owner = controller_of(daemon_set)
        if owner is not None and owner["kind"] == NVIDIA_DRIVER[1]:
            self.enqueue_soon(("driver", str(owner["name"])))

    async def reconcile(self, key: Key) -> None:
        """Assign nodes to drivers, or bring one driver's DaemonSets and state about."""
        policy = next((p for p in self.cache.all(CLUSTER_POLICY) if not deleting(p)), None)
        around = surroundings(self.twin)
        if policy is None or not around.version:
            return
        if key == OWNERS:
            if (policy["spec"].get("driver") or {}).get("useNvidiaDriverCRD"):
                await self._assign()
            return
        driver = self.cache.get(NVIDIA_DRIVER, key[1])
        if driver is not None and not deleting(driver):
            await self._sync(driver, policy, around)

    async def _assign(self) -> None:
        """Label every node with its driver. While two selective ones match one node nothing is touched."""
        trouble = self._fleet.trouble
        if trouble != self._trouble:
            self._trouble = trouble
            for driver in self.cache.all(NVIDIA_DRIVER):
                self.enqueue(("driver", name_of(driver)))
        if trouble or len(self._fleet.defaults) > 1:
            return
        for name in sorted(self._fleet.misplaced):
            node = self.cache.get(NODE, name)
            if node is not None:
                owner = self._fleet.owner(name) or None
                await self.api.patch(node, {"metadata": {"labels": {OWNER_LABEL: owner}}})

    async def _sync(self, driver: Object, policy: Object, around: Surroundings) -> None:
        if not (policy["spec"].get("driver") or {}).get("useNvidiaDriverCRD"):
            why = error("Reconciled", "useNvidiaDriverCRD is not enabled in ClusterPolicy")
            await write_state(self.twin, driver, "disabled", why)
            return
        if trouble := self._fleet.trouble:
            await write_state(self.twin, driver, "notReady", error("ConflictingNodeSelector", trouble))
            return
        if refused := self._refusal(driver):
            await write_state(self.twin, driver, "notReady", error("ReconcileFailed", refused))
            return
        wanted = [self._wanted(driver, pool, around) for pool in self._fleet.pools(name_of(driver))]
        await remove_others(self.twin, driver, {name_of(one) for one in wanted})
        made = [await apply(self.twin, driver, one) for one in wanted]
        if (driver.get("status") or {}).get("state") and not all(is_observed(one) for one in made):
            return  # its status is still of the template before: we are told when it is not
        if all(is_ready(one) for one in made):
            done = ready("All resources have been successfully reconciled")
            await write_state(self.twin, driver, "ready", done)
        else:
            waits = error("DriverNotReady", "Waiting for driver pod to be ready")
            await write_state(self.twin, driver, "notReady", waits)

    def _refusal(self, driver: Object) -> str:
        if len(self._fleet.defaults) > 1:
            return f"multiple default NVIDIADrivers found: {', '.join(sorted(self._fleet.defaults))}"
        return refusal(driver["spec"])

    def _wanted(self, driver: Object, pool: Pool, around: Surroundings) -> Object:
        """The DaemonSet; where only its manager would be another one by default, the one that it has stays."""
        wanted = driver_daemon_set(driver, pool, around)
        if (driver["spec"].get("manager") or {}).get("image"):
            return wanted
        live = self.cache.get(DAEMON_SET, name_of(wanted), namespace_of(wanted))
        if live is None:
            return wanted
        inits = live["spec"]["template"]["spec"].get("initContainers") or ()
        present = next((str(c["image"]) for c in inits if c["name"] == MANAGER_CONTAINER), "")
        same = driver_daemon_set(driver, pool, around, present)
        kept = annotations_of(live).get(SPEC_HASH) == digest(same["spec"])
        return same if kept else wanted
