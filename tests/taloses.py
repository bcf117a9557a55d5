"""A claimed node whose machine runs Talos, in a dictionary: what it is asked by talosctl, and what it then does."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.movers import EVERY
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import NODE, NODE_PATH, OPERATOR, banner, machine, task

from knowngood.adapters.cluster import readouts, talos
from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.movers import talosctl
from knowngood.adapters.movers.base import Arrived, Turn
from knowngood.adapters.nodes import claiming
from knowngood.adapters.nodes.batch import Task
from knowngood.model.errors import Unreachable
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Limits
from knowngood.model.mover import Moving

OLD, NEW = "1.13.7", "1.13.8"
DRIVER = "595.91.07"
ADDRESS = "10.0.0.7"
IMAGES = {v: f"registry.example.com/talos/installer:v{v}@sha256:{n:064x}" for n, v in enumerate((OLD, NEW))}
DECLARED = ObjectRef("v1", "ConfigMap", "talos-ring-0", OPERATOR)
DECLARED_PATH = f"/api/v1/namespaces/{OPERATOR}/configmaps/talos-ring-0"
QUICK = Limits(claim=0.4, apply=4.0, operand_age=0.2, node_unreachable=0.2)
SPEC = EVERY["talos"]


@dataclass
class Asked:
    """The talosctl beside us, as `talos.Upgrade` is."""

    ended: int | None = None
    words: str = "it said nothing"
    stopped: bool = False

    def stop(self) -> None:
        self.stopped = True


@dataclass
class Desk:
    """The machine. `then` is done one by one, at each look at its node since it was asked; `silent`: its Talos is."""

    kube: FakeKube
    runs: str = OLD
    tells: str = ""  # another version than runs
    boot_of: str = ""  # another boot than its node tells
    silent: str = ""
    boots: int = 0
    asked: list[str] = field(default_factory=list)
    talosctl: list[Asked] = field(default_factory=list)
    script: list[Callable[[], None]] = field(default_factory=list)
    then: list[Callable[[], None]] = field(default_factory=list)
    driver: bool = True  # a boot loads it
    limits: Limits = QUICK

    def task(self, **more: Any) -> Task:
        values: dict[str, Any] = {"limits": self.limits, "specs": {"talos": SPEC}, **more}
        return task(self.kube, **values)

    def declare(self, version: str, image: str = "") -> None:
        """What Git has, once Argo CD brought it."""
        data = {"talos": version, "image": image or IMAGES[version]}
        self.kube.put(DECLARED_PATH, {"data": data})

    def bring(self, version: str, **more: Any) -> Arrived:
        """What a playbook's role has done on the node, once."""
        at = more.pop("declared_by", DECLARED)
        moving = Moving("talos", "", version, SPEC, at)
        return talosctl.apply(self.task(**more), NODE, Turn((moving,), ends_at=1e12))

    def comes(self, version: str, **more: Any) -> Arrived:
        """Git declares it, then it is brought."""
        self.declare(version)
        self.script = self.script or [self.down, lambda: self.boot(version)]
        try:
            return self.bring(version, **more)
        finally:
            self.script = []

    @property
    def boot_id(self) -> str:
        return str(uuid.UUID(int=self.boots + 1))

    def down(self) -> None:
        """Nobody hears of the node."""
        obj = self.kube.objects[NODE_PATH]
        obj["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
        self.kube.put(NODE_PATH, obj)

    def boot(self, version: str) -> None:
        """It comes up, in this version."""
        self.boots += 1
        self.runs = version
        self.kube.journals[NODE] = banner(DRIVER, 12.5, uuid.UUID(self.boot_id).hex) if self.driver else ""
        self.show()

    def show(self) -> None:
        """Its node, as its kubelet tells of it."""
        obj = self.kube.objects[NODE_PATH]
        obj["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
        obj["status"]["nodeInfo"] = {"bootID": self.boot_id, "osImage": f"Talos (v{self.runs})"}
        obj["status"]["addresses"] = [
            {"type": "Hostname", "address": NODE},
            {"type": "InternalIP", "address": ADDRESS},
        ]
        self.kube.put(NODE_PATH, obj)

    @property
    def note(self) -> str:
        """What is written on the node of what was begun."""
        return str(self.kube.objects[NODE_PATH]["metadata"]["annotations"].get("knowngood.dev/flash", ""))

    # What stands in for the program.
    def tell(self, address: str) -> talos.Told:
        assert address == ADDRESS
        if self.silent:
            raise Unreachable(self.silent)
        return talos.Told(self.tells or self.runs, self.boot_of or self.boot_id)

    def upgrade(self, address: str, image: str) -> Asked:
        assert address == ADDRESS
        self.asked.append(image)
        self.talosctl.append(Asked())
        self.then = list(self.script)
        self.script = []
        return self.talosctl[-1]

    def _look(self, method: str, where: str) -> None:
        if method == "GET" and "/nodes" in where and "/proxy/" not in where and self.then:
            self.then.pop(0)()

    def exec(self, *_where: Any, **_more: Any) -> Any:
        """Its driver's pod."""
        return pod_exec.Ran(f"{readouts.BOOT_ID}:{self.boot_id}\n", "", 0)


def running(patch: Any) -> Desk:
    """A claimed node that runs OLD; talosctl and exec are the desk's."""
    kube = FakeKube()
    machine(kube)
    kube._kinds["v1", "ConfigMap"] = ("configmaps", True)
    desk = Desk(kube)
    desk.declare(OLD)
    desk.boot(OLD)
    patch.setattr(talos, "tell", desk.tell)
    patch.setattr(talos, "Upgrade", desk.upgrade)
    patch.setattr(pod_exec, "run", desk.exec)
    claiming.claim(replace(desk.task(), specs={}), NODE)
    kube.before.append(desk._look)
    return desk
