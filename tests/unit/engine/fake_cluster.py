"""The cluster behind the engine's ports: what can be read of it, Git, Argo CD, playbooks and gates."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from tests.unit.engine.world import NEW, OLD, FakeNode, Killed, World

from knowngood.model import names
from knowngood.model.context import JudgeRequest, Window
from knowngood.model.errors import DeadlineExceeded
from knowngood.model.evidence import GateSuite
from knowngood.model.field import Field, FieldChange
from knowngood.model.finding import Finding, refused
from knowngood.model.marks import Marks
from knowngood.model.matrix import Identity
from knowngood.model.mover import Again, Hold, Mark, Moving, Specs
from knowngood.model.names import fence_of
from knowngood.model.node import GpuUse, Leftover, NodeState, Workload
from knowngood.model.verdict import GateResult, Judgement, Verdict
from knowngood.ports.cancel import Cancel
from knowngood.ports.cluster import ClusterReader
from knowngood.ports.delivery import Delivery, SyncFailed
from knowngood.ports.gates import Gates
from knowngood.ports.machine import Machine
from knowngood.ports.nodes import NodeWork, Outcome
from knowngood.ports.readiness import Readiness

DRIVER = "nvidia-driver"
DRIVER_PARTS = (DRIVER, "nvidia-user-space", "gsp-firmware")
VERSIONS = {
    "kernel-module-type": "open",
    "nic-firmware": "28.43.1014",
    "rdma-mode": "dma-buf",
    "rhcos-kernel": "5.14.0-427.el9_4",
}
INVENTORY = {
    "gpus": {"0000:18:00.0": "minor 0, GPU-1a2b3c4d-5e6f"},
    "modules": {"mlx5_core": "24.10-0.7.0", "rpcrdma": "not loaded"},
    "rdma-devices": {"mlx5_0": "0000:1c:00.0, firmware 28.43.1014"},
}


class FakeCluster(ClusterReader):
    """Each look tells what the real one of its name can tell, and no more (`adapters.cluster.node_state`)."""

    def __init__(self, world: World) -> None:
        self.world = world

    def identity(self) -> Identity:
        return Identity("uid", "ca")

    def node_names(self) -> Mapping[str, str]:
        return dict.fromkeys(self.world.nodes, "gpu") | {"liqo-1": "virtual"}

    def marks(self) -> Mapping[str, Marks]:
        return {n: Marks(o.claim, o.tainted, o.shut_by, o.cordoned) for n, o in self.world.nodes.items()}

    def observe(self, nodes: Sequence[str], specs: Specs) -> Mapping[str, NodeState]:
        return {n: self._one(n, specs) for n in nodes}

    def begin(self, nodes: Sequence[str], specs: Specs) -> Mapping[str, NodeState]:
        return self.observe(nodes, specs)

    def loads(self, nodes: Sequence[str], specs: Specs) -> Mapping[str, NodeState]:
        """The kernel log alone: marks, their boot and their versions."""
        return {n: self._logged(n, specs) for n in nodes}

    def standing(self, nodes: Sequence[str]) -> Mapping[str, NodeState]:
        """The node object alone: no mark, nothing of the driver."""
        return {n: self._known(n) for n in nodes}

    def _object(self, name: str) -> dict[str, Any]:
        """What its node object says."""
        node = self.world.nodes[name]
        taints = ["knowngood.dev/maintenance=run:NoSchedule"] if node.tainted else []
        taints += ["knowngood.dev/quarantine=run:NoSchedule"] if node.quarantined else []
        return {
            "reachable": not node.down,
            "ready": not node.down,
            "boot_id": "" if node.down else _boot(name, node.boots),
            "trouble": "the node is not Ready" if node.down else "",
            "written": tuple(sorted(_written(node.claim, taints))),
            "taints": tuple(sorted(taints)),
            "unschedulable": node.cordoned,
            "allocatable": {"nvidia.com/gpu": "8"},
        }

    def _known(self, name: str) -> NodeState:
        kernel = "" if self.world.nodes[name].down else VERSIONS["rhcos-kernel"]
        return NodeState(name, versions={"rhcos-kernel": kernel} if kernel else {}, **self._object(name))

    def _marks(self, name: str, specs: Specs) -> dict[str, Mark]:
        node = self.world.nodes[name]
        mark = Mark(node.version, _boot(name, node.boots), node.loaded_at)
        return {DRIVER: mark} if DRIVER in specs and f"no-marks-{name}" not in self.world.broken else {}

    def _logged(self, name: str, specs: Specs) -> NodeState:
        if self.world.nodes[name].down:
            return NodeState(name, reachable=False, trouble="the kubelet does not answer")
        marks = self._marks(name, specs)
        boot, versions = ("", {}) if not marks else (marks[DRIVER].boot_id, {DRIVER: marks[DRIVER].version})
        return NodeState(name, reachable=True, boot_id=boot, marks=marks, versions=versions)

    def _one(self, name: str, specs: Specs) -> NodeState:
        node = self.world.nodes[name]
        if node.down:
            return self._known(name)
        return NodeState(
            name,
            uptime_seconds=self.world.uptime(),
            marks=self._marks(name, specs),
            versions={**VERSIONS, **dict.fromkeys(DRIVER_PARTS, node.version)},
            inventory=INVENTORY,
            operands={DRIVER: "ready"},
            images={DRIVER: f"mirror/driver:{node.version}@sha256:1"},
            **self._object(name),
        )

    def live_value(self, field: Field) -> str:
        return self.world.live.get((field.file, field.path), "")

    def workloads(self) -> Sequence[Workload]:
        up = tuple(n for n, node in self.world.nodes.items() if not node.cordoned)
        return [Workload("vision", "vision", "Deployment", "serve", 2, min(2, len(up)), up, ready_nodes=up)]

    def gpu_use(self, nodes: Sequence[str]) -> Mapping[str, GpuUse]:
        """Tenants use all GPUs of every node in service, but for those where none of them works."""
        idle = self.world.idle
        up = {n: 0.0 if self.world.nodes[n].cordoned or n in idle else 8.0 for n in nodes}
        return {n: GpuUse(gpus, gpus) for n, gpus in up.items()}

    def leftovers(self) -> Sequence[Leftover]:
        jobs = [Leftover("job", f"knowngood/load-{n}", "of run-1") for n in self.world.load_on]
        return jobs + [Leftover("claim", n, node.claim) for n, node in self.world.nodes.items() if node.claim]

    def quiet(self, nodes: Sequence[str]) -> Mapping[str, str]:
        return {n: "cordoned" for n in nodes if self.world.nodes[n].cordoned}


def _boot(name: str, boots: int) -> str:
    return f"boot-{name}" if boots == 1 else f"boot-{name}-{boots}"


def _same(name: str, node: FakeNode, first: Window) -> bool:
    return (_boot(name, node.boots), node.loaded_at) == (first.boot_id, first.monotonic)


def _written(claim: str, taints: Sequence[str]) -> list[str]:
    """As `actors.written` tells it of a node object."""
    found = [f"annotation {names.CLAIM_ANNOTATION}={claim}"] if claim else []
    return found + [f"taint {taint.partition('=')[0]}" for taint in taints]


class FakeDelivery(Delivery):
    def __init__(self, world: World) -> None:
        self.world = world

    def ready(self) -> Sequence[Finding]:
        off = (
            [refused("Application gpu", "automatic sync is off")]
            if "auto-sync-off" in self.world.broken
            else []
        )
        return [*off, *self.world.found.get("ready", ())]

    def windows(self, seconds: float) -> Sequence[Finding]:
        return self.world.found.get("windows", ())

    def wait(self, commit: str, changes: Sequence[FieldChange], deadline: float, cancel: Cancel) -> float:
        back = any(c.after == OLD for c in changes)
        fault = "argo-fails-revert" if back else "argo-fails"
        if changes and fault in self.world.broken:
            raise SyncFailed(f"sync of {commit} failed")
        if (
            "argo-deaf-after-upgrade" in self.world.broken
            and self.world.operator != self.world.operator_at_start
        ):
            raise DeadlineExceeded(f"{commit} was not delivered in {deadline:.0f} s")
        self.world.sync(commit)
        self.world.moment("deliver", cancel)
        return 1.0


class FakeReadiness(Readiness):
    def __init__(self, world: World) -> None:
        self.world = world

    def rights(self, changes: Sequence[FieldChange]) -> Sequence[Finding]:
        self.world.rights_asked_for = tuple(changes)
        return self.world.found.get("rights", ())

    def lease(self, run: str) -> Sequence[Finding]:
        return self.world.found.get("lease", ())

    def clock(self) -> Sequence[Finding]:
        return self.world.found.get("clock", ())

    def probes(self, active: Sequence[str]) -> Sequence[Finding]:
        return self.world.found.get("probes", ())

    def declared(self, changes: Sequence[FieldChange]) -> Sequence[Finding]:
        return self.world.found.get("declared", ())

    def systems(self, changes: Sequence[FieldChange]) -> Sequence[Finding]:
        return self.world.found.get("systems", ())

    def booting(self, changes: Sequence[FieldChange]) -> Sequence[Finding]:
        return [f for c in changes for f in self.world.found.get(f"booting {c.after}", ())]


class FakeMachine(Machine):
    def __init__(self, world: World) -> None:
        self.world = world

    def tools(self) -> Sequence[Finding]:
        return self.world.found.get("tools", ())

    def room(self) -> Sequence[Finding]:
        return self.world.found.get("room", ())


class FakeNodes(NodeWork):
    """Idempotent as the playbooks are: what is already so is done."""

    def __init__(self, world: World) -> None:
        self.world = world

    def claim(self, nodes: Sequence[str], fence: str, cancel: Cancel, *, hold: Hold, specs: Specs) -> Outcome:
        done, failed, run = [], {}, fence.rsplit("/", 1)[0]
        for name in nodes:
            node = self.world.nodes[name]
            if node.down and not node.claim:
                failed[name] = "it is not Ready"
            elif node.claim and node.claim.rsplit("/", 1)[0] != run:
                failed[name] = f"claimed by {node.claim}"
            elif self._overtaken(name, fence):
                failed[name] = "a newer Lease counts further"
            elif not node.claim and node.cordoned and node.shut_by != run:
                failed[name] = "somebody has cordoned it"
            else:
                node.claim, node.cordoned, node.quarantined = fence, True, False
                node.tainted, node.shut_by = run, ""
                done.append(name)
            self.world.moment(f"claim {name}", cancel)
            if "dies-claiming" in self.world.broken:
                self.world.broken.discard("dies-claiming")
                self.world.dead = True
                raise Killed
        return Outcome(tuple(done), failed, could_not=tuple(failed))

    def _overtaken(self, name: str, fence: str) -> bool:
        """As the adapter asks before it touches a node without a claim of just this fence."""
        claim = self.world.nodes[name].claim
        return (fence_of(claim) if claim else self.world.lease[1]) > fence_of(fence)

    def _held(self, nodes: Sequence[str], fence: str) -> dict[str, str]:
        return {n: "the claim is not ours" for n in nodes if self.world.nodes[n].claim != fence}

    def _stripped(self, failed: Mapping[str, str]) -> tuple[str, ...]:
        return tuple(n for n, why in failed.items() if why == "the claim is not ours")

    def drain(
        self, nodes: Sequence[str], fence: str, cancel: Cancel, *, users: Collection[str], keep: bool = False
    ) -> Outcome:
        failed = self._held(nodes, fence)
        done: list[str] = []
        given_back: dict[str, str] = {}
        for name in () if keep else tuple(failed):
            node = self.world.nodes[name]
            if not (node.claim or node.tainted or node.cordoned):
                given_back[name] = "it was given back before"
                del failed[name]
        for name in (n for n in nodes if n not in failed and n not in given_back):
            node = self.world.nodes[name]
            if self.world.blocked.get(name, 0) > 0 and not node.drained and keep:
                failed[name] = "vision/serve: its budget allows no disruption"
            elif self.world.blocked.get(name, 0) > 0 and not node.drained:
                self.world.blocked[name] -= 1
                node.claim, node.tainted, node.cordoned = "", "", False
                given_back[name] = "vision/serve: its budget allows no disruption"
            else:
                node.drained = True
                done.append(name)
            self.world.moment(f"drain {name}", cancel)
        return Outcome(tuple(done), failed, given_back, stripped=self._stripped(failed))

    def apply(self, nodes: Sequence[str], fence: str, moves: Sequence[Moving], cancel: Cancel) -> Outcome:
        failed = self._held(nodes, fence)
        done = []
        for name in (n for n in nodes if n not in failed):
            node = self.world.nodes[name]
            want = moves[0].after
            assert node.drained, "never restart a driver under a tenant"
            declared = self.world.declared(node)
            anew = node.version != want or node.made_by != self.world.operator
            if anew and f"in-use-{name}" not in self.world.broken:
                self.world.load(name, declared)
            self.world.moment(f"apply {name}", cancel)
            if f"dies-{name}" in self.world.broken and want == NEW:
                node.down = True
            if node.version == want and not node.down:
                done.append(name)
            else:
                failed[name] = f"the module is still {node.version}"
        return Outcome(tuple(done), failed, stripped=self._stripped(failed))

    def load_again(
        self,
        nodes: Sequence[str],
        fence: str,
        moves: Sequence[Moving],
        cancel: Cancel,
        *,
        how: Again,
        since: Mapping[str, Window],
    ) -> Outcome:
        """`latent-<node>`: its second load of NEW finds no module any more; `lazy-<node>`: nothing is loaded."""
        failed = self._held(nodes, fence)
        done = []
        for name in (n for n in nodes if n not in failed):
            node, first = self.world.nodes[name], since[name]
            assert node.drained, "never restart a driver under a tenant"
            there = node.version == moves[0].after
            if _same(name, node, first) and there and f"lazy-{name}" not in self.world.broken:
                node.boots += how is Again.REBOOT
                latent = f"latent-{name}" in self.world.broken and moves[0].after == NEW
                self.world.load(name, "none" if latent else self.world.declared(node))
            self.world.moment(f"load again {name}", cancel)
            if node.version == moves[0].after:
                done.append(name)
            else:
                failed[name] = "no driver was loaded on this boot"
        return Outcome(tuple(done), failed, stripped=self._stripped(failed))

    def release(self, nodes: Sequence[str], fence: str, cancel: Cancel) -> Outcome:
        held = {n: self.world.nodes[n] for n in nodes}
        failed = {n: "the claim is not ours" for n, o in held.items() if o.claim not in ("", fence)}
        failed |= {
            n: "its claim is gone" for n, o in held.items() if not o.claim and (o.tainted or o.cordoned)
        }
        done = [n for n in nodes if n not in failed]
        for name in done:
            node = self.world.nodes[name]
            node.claim, node.tainted, node.cordoned, node.drained = "", "", False, False
            self.world.history.append((name, "released", node.version))
            self.world.moment(f"release {name}", cancel)
        return Outcome(tuple(done), failed)

    def quarantine(self, nodes: Mapping[str, str], fence: str, cancel: Cancel) -> Outcome:
        failed: dict[str, str] = {}
        for name in nodes:
            node = self.world.nodes[name]
            if self._overtaken(name, fence) or node.claim not in ("", fence):
                failed[name] = f"its claim is {node.claim}, not {fence}"
                continue
            node.claim, node.tainted, node.cordoned, node.quarantined = "", "", True, True
            node.shut_by = fence.rsplit("/", 1)[0]
            self.world.moment(f"quarantine {name}", cancel)
        return Outcome(tuple(n for n in nodes if n not in failed), failed)


class FakeGates(Gates):
    def __init__(self, world: World) -> None:
        self.world = world
        self.requests: list[JudgeRequest] = []

    def suite(self) -> GateSuite:
        return self.world.suite

    def as_read(self, request: JudgeRequest) -> JudgeRequest:
        """The request with the loads that the judge reads itself."""
        if not request.loads_as_read:
            return request
        nodes = {n: self.world.nodes[n] for n in request.nodes}
        loads = {n: Window(_boot(n, o.boots), o.loaded_at, "") for n, o in nodes.items() if not o.down}
        return replace(request, loads=loads)

    def judge(self, request: JudgeRequest, cancel: Cancel) -> Judgement:
        request = self.as_read(request)
        self.requests.append(request)
        seen = FakeCluster(self.world).observe(request.nodes, request.movers)
        self.world.moment(f"judge {request.name}", cancel)
        results = []
        for gate in request.gates:
            for node in request.nodes:
                found = self.world.bad(request, node, self.world) if gate == "gpu_errors" else ""
                verdict = Verdict.FAIL if found else Verdict.PASS
                if found.startswith("?"):
                    verdict = Verdict.INCONCLUSIVE
                there = self.world.nodes[node]
                runs, other = there.version, there.version != request.expect[node]["nvidia-driver"]
                if gate == "latent_fault" and (other or _same(node, there, request.first_loads[node])):
                    verdict, found = Verdict.FAIL, request.not_again.get(node, "nothing came since")
                if gate == "drift" and other:
                    verdict, found = Verdict.FAIL, f"runs {runs}"
                results.append(GateResult(gate, node, verdict, found or "as expected", {"xids": 0}))
        return Judgement(tuple(results), seen=seen)
