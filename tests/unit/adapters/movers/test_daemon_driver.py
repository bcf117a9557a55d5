"""A driver counts as restarted only by a module load that is newer than the claim; labels and CRs prove nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from tests.movers import MOVERS, moving
from tests.unit.adapters import machines
from tests.unit.adapters.fake_kube import FakeKube
from tests.unit.adapters.machines import (
    DAEMONSETS,
    NEW,
    NODE,
    NODE_PATH,
    OLD,
    PODS,
    RUN,
    banner,
    machine,
    task,
)

from knowngood.adapters.cluster.facts import BY_HAND, OPERANDS
from knowngood.adapters.movers import looking, node_work
from knowngood.adapters.nodes import claiming
from knowngood.adapters.nodes.batch import ClaimLost, NodeFailed
from knowngood.model import names
from knowngood.model.mover import MoverSpec

DRIVER = f"{DAEMONSETS}/driver"


class Kubelet:
    """What happens on the node once the driver pod is deleted. Each flag is one way it goes wrong."""

    def __init__(self, kube: FakeKube) -> None:
        self.kube = kube
        self.version = NEW
        self.loads = True
        self.ready = True
        self.uncordons = False
        self.operands = True
        self.deleted = 0
        kube.before.append(self)

    def __call__(self, method: str, where: str) -> None:
        if method == "DELETE" and where == f"{PODS}/driver-old":
            self.deleted += 1
            self.kube.before.append(self._restart)

    def _restart(self, method: str, where: str) -> None:
        if f"{PODS}/driver-old" in self.kube.objects:
            return
        self.kube.before.remove(self._restart)
        template = self.kube.objects[DRIVER]
        pod = machines.pod_of(template, ready=self.ready, created="2026-08-22T03:20:00Z")
        self.kube.put(f"{PODS}/driver-new", pod)
        if self.loads:
            self.kube.journals[NODE] += "\n" + banner(self.version, 500.0)
        if self.uncordons:
            obj = self.kube.objects[NODE_PATH]
            obj["spec"].pop("unschedulable", None)
            self.kube.put(NODE_PATH, obj)
        if not self.operands:
            del self.kube.objects[f"{PODS}/nvidia-operator-validator-1"]


@pytest.fixture(name="kube")
def _kube(monkeypatch: pytest.MonkeyPatch) -> FakeKube:
    monkeypatch.setattr(looking, "LONGEST_PAUSE", 0.02)
    kube = FakeKube()
    machine(kube)
    claiming.claim(task(kube), NODE)
    template(kube, NEW)
    return kube


def template(kube: FakeKube, version: str) -> None:
    """The operator has brought the version that Git declares into the DaemonSet."""
    labels = machines.DRIVER_LABELS
    kube.put(DRIVER, machines.daemonset("driver", machines.driver_image(version), labels))


def apply(kube: FakeKube, version: str = NEW, **changes: Any) -> tuple[bool, dict[str, Any]]:
    return node_work._apply(task(kube, moves=moving(version), **changes), NODE)


def test_the_pod_is_deleted_and_the_new_load_is_the_proof(kube: FakeKube) -> None:
    kubelet = Kubelet(kube)
    changed, detail = apply(kube)
    assert changed
    assert kubelet.deleted == 1
    assert detail["versions"] == {"nvidia-driver": NEW}
    assert detail["load"]["monotonic"] == 500.0


def test_a_second_apply_under_the_same_claim_restarts_nothing(kube: FakeKube) -> None:
    kubelet = Kubelet(kube)
    apply(kube)
    changed, detail = apply(kube)
    assert not changed
    assert detail["restarted"] is False
    assert kubelet.deleted == 1


def test_a_pod_that_is_starting_already_is_waited_for_not_deleted_again(kube: FakeKube) -> None:
    """A killed runner had deleted the pod; `resume` must not start over."""
    del kube.objects[f"{PODS}/driver-old"]
    pod = kube.put(f"{PODS}/driver-new", machines.pod_of(kube.objects[DRIVER], ready=False))

    def finish(method: str, where: str) -> None:
        if "journal" in where or method == "DELETE":
            return
        pod["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
        kube.journals[NODE] = banner(OLD, 12.5) + "\n" + banner(NEW, 500.0)

    kube.before.append(finish)
    changed, detail = apply(kube)
    assert not changed
    assert detail["versions"] == {"nvidia-driver": NEW}
    assert not [w for w in kube.writes if w[0] == "DELETE"]


def test_nothing_is_deleted_before_git_has_reached_the_daemonset(kube: FakeKube) -> None:
    template(kube, OLD)
    with pytest.raises(NodeFailed, match=f"has .*{OLD}.*, not {NEW}"):
        apply(kube)
    assert not [w for w in kube.writes if w[0] == "DELETE"]


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda k: setattr(k, "loads", False), f"module {OLD} is loaded, not {NEW}"),
        (lambda k: setattr(k, "version", "1.2.3"), "module 1.2.3 is loaded"),
        (lambda k: setattr(k, "ready", False), "driver pod Pending"),
        (lambda k: setattr(k, "operands", False), "nvidia-operator-validator: no pod"),
    ],
    ids=["module kept", "another version", "pod hangs", "validator gone"],
)
def test_what_does_not_come_back_fails_by_age(
    kube: FakeKube, spoil: Callable[[Kubelet], None], reason: str
) -> None:
    spoil(Kubelet(kube))
    with pytest.raises(NodeFailed, match=reason):
        apply(kube)


def test_a_load_from_before_the_claim_proves_nothing(kube: FakeKube) -> None:
    """The fast path: same digest, new pod, old module, although the version looks right."""
    kube.journals[NODE] = banner(OLD, 5.0) + "\n" + banner(NEW, 10.0)
    obj = kube.objects[NODE_PATH]
    snapshot = obj["metadata"]["annotations"][names.SNAPSHOT_ANNOTATION]
    assert '"at": 12.5' in snapshot
    Kubelet(kube).loads = False
    with pytest.raises(NodeFailed, match=f"module {NEW} was loaded before the claim"):
        apply(kube)


def test_another_boot_is_a_new_load(kube: FakeKube) -> None:
    kubelet = Kubelet(kube)
    kubelet.loads = False
    kube.journals[NODE] = banner(NEW, 3.0, boot="ab" * 16)
    _, detail = apply(kube)
    assert detail["load"]["bootId"].startswith("abababab")


def test_going_back_to_a_module_that_was_never_unloaded_needs_no_new_load(kube: FakeKube) -> None:
    """Driver in use: the new pod could not unload the old module, and the undo wants exactly that module."""
    template(kube, OLD)
    stuck = machines.daemonset("driver", machines.driver_image(NEW), machines.DRIVER_LABELS)
    kube.put(f"{PODS}/driver-old", machines.pod_of(stuck, ready=False))
    kubelet = Kubelet(kube)
    kubelet.loads = False
    changed, detail = apply(kube, OLD)
    assert changed
    assert kubelet.deleted == 1
    assert detail["load"]["monotonic"] == 12.5


def test_a_cordon_that_driver_manager_lifts_is_put_back(kube: FakeKube) -> None:
    Kubelet(kube).uncordons = True
    _, detail = apply(kube)
    assert detail["held"] >= 1
    assert kube.objects[NODE_PATH]["spec"]["unschedulable"] is True


def test_parked_operands_fail_by_age(kube: FakeKube) -> None:
    Kubelet(kube)
    obj = kube.objects[NODE_PATH]
    obj["metadata"]["labels"]["nvidia.com/gpu.deploy.device-plugin"] = "paused-for-driver-upgrade"
    kube.put(NODE_PATH, obj)
    with pytest.raises(NodeFailed, match="operands are parked"):
        apply(kube)


def test_fewer_gpus_than_before_fail_by_age(kube: FakeKube) -> None:
    Kubelet(kube)
    obj = kube.objects[NODE_PATH]
    obj["status"]["allocatable"]["nvidia.com/gpu"] = "7"
    kube.put(NODE_PATH, obj)
    with pytest.raises(NodeFailed, match=r"nvidia.com/gpu is 7, was 8"):
        apply(kube)


def test_a_node_that_stays_down_is_named_so(kube: FakeKube) -> None:
    Kubelet(kube).loads = False

    def down(method: str, where: str) -> None:
        if method == "DELETE":
            kube.objects[NODE_PATH]["status"]["conditions"] = [{"type": "Ready", "status": "Unknown"}]
            kube.journals.clear()

    kube.before.append(down)
    with pytest.raises(NodeFailed, match="the node is not Ready"):
        apply(kube)


def test_a_claim_lost_before_the_deletion_deletes_nothing(kube: FakeKube) -> None:
    """The claim is read again right before the pod is deleted."""
    kubelet = Kubelet(kube)

    def steal(method: str, where: str) -> None:
        if where.startswith(PODS):
            obj = kube.objects[NODE_PATH]
            obj["metadata"]["annotations"][names.CLAIM_ANNOTATION] = f"{RUN}/9"

    kube.before.append(steal)
    with pytest.raises(ClaimLost):
        apply(kube)
    assert kubelet.deleted == 0


def test_a_mover_without_pods_or_proof_moves_nothing(kube: FakeKube) -> None:
    bare = replace(moving(NEW)[0], spec=MoverSpec(kind="daemon-driver"))
    with pytest.raises(NodeFailed, match="names no pods or no proof"):
        node_work._apply(task(kube, moves=(bare,)), NODE)


def test_by_hand_the_gpu_driver_moves_as_its_component_file_says() -> None:
    by_hand, shipped = BY_HAND["nvidia-driver"], MOVERS["nvidia-driver"]
    assert (by_hand.pods, by_hand.proof, by_hand.words) == (shipped.pods, shipped.proof, shipped.words)
    assert set(by_hand.users) == set(shipped.users)


def test_every_operand_is_waited_for(kube: FakeKube) -> None:
    for name in OPERANDS:
        copy = FakeKube()
        copy.objects, copy.journals = dict(kube.objects), dict(kube.journals)
        Kubelet(copy)
        del copy.objects[f"{PODS}/{name}-1"]
        with pytest.raises(NodeFailed, match=f"{name}: no pod"):
            apply(copy)
