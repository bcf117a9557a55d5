"""What runs is what the release says, and nothing is left over.

Proves: module, user space and GSP firmware are one version, the expected one; the other components that a node shows
too (of the rest of a release it says that they are not compared); operands are ready, and allocatable is what the
node's own configuration gives: whole GPUs, MIG instances, or each several times; labels agree with the module; modules
beside the drivers are still there; no drainer left its marks; taints and cordon are as they should be at this point.
Needs: the node, its pods and the driver pod (exec).
fail: something runs, is missing or is left over that should not. What may still settle (operands, labels,
allocatable) gets the profile's `settleSeconds` for all nodes together (a proposal: 20).
inconclusive: the node or a version can't be read; a module reports a version that no known package has; somebody else
cordoned the node; a waiver names a place of which nobody knows that a GPU was there.
Thresholds: the profile's number of GPUs; operandAgeSeconds is the playbooks' limit before this gate runs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from knowngood.adapters.cluster.parting import PLUGIN_CONFIG
from knowngood.gate import judge, measure, some
from knowngood.gate.fixtures import readable
from knowngood.gate.packages import package_of
from knowngood.gate.settling import Settle, settle_seconds
from knowngood.gate.verdicts import absent
from knowngood.model import names
from knowngood.model.context import JudgeRequest
from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Cluster, Profile
from knowngood.model.node import NOT_LOADED, Leftover, NodeState
from knowngood.model.parts import Out, out
from knowngood.planner import sharing
from knowngood.planner.version import TEXT, runs

MEASURED = (
    "nvidia-driver",
    "kernel-module-type",
    "doca-ofed",
    "rdma-mode",
    "rhcos-kernel",
    "gds",
    "bios",
    "kubernetes",
    "talos",
)
"""Components that are read on the node; the others of a release are cluster-wide or another gate's."""
SETTLE = 20.0  # seconds
LABELLED = {
    "mig-config": (sharing.CONFIG, "all-disabled", "the MIG layout"),
    "gpu-sharing": (PLUGIN_CONFIG, "", "the device plugin's configuration"),
}
"""Components that a node's label names: the label, what a node without it has, and what that is called."""
DEPLOY = "nvidia.com/gpu.deploy."
GFD = "nvidia.com/cuda.driver-version.full"
UPGRADE_STATES = ("nvidia.com/gpu-driver-upgrade-state", "nvidia.com/ofed-driver-upgrade-state")
UPGRADE_MARKS = ("driver-wait-for-safe-load", "driver-upgrade-requested", "validation-start-time")
LEFT = ("parked-operand", "upgrade-state", "hold")
NONE = Out()


@pytest.fixture(scope="session")
def states_at_rest(
    judgement: JudgeRequest, hardware: Hardware, cluster: Cluster, settle: Settle
) -> Mapping[str, NodeState]:
    """All nodes of the judgement, once nothing is left to settle or settleSeconds are over: waited for once."""

    def waits(state: NodeState) -> bool:
        profile = hardware.of(state.name)
        before = judgement.baseline.get(f"drift/{state.name}", {}).get("operands", ())
        kept = judgement.baseline.get(f"drift/{state.name}", {}).get("places", {})
        own = [w for w in cluster.waivers if (w.gate, w.node) == ("drift", state.name)]
        there = names_of(state)
        gone = out((w.part for w in absent(own, there)), there, homes(kept))
        late = state.reachable and any(True for _ in unsettled(state, profile, tuple(before), gone))
        return late and not any(True for _ in wrong_for_good(state, profile, gone))

    return settle(waits, settle_seconds(hardware, "drift", SETTLE))


def test_versions_are_the_releases(
    state: NodeState, expect: Mapping[str, str], judgement: JudgeRequest
) -> None:
    """Module, user space, firmware and the other components that this node can be asked for.

    A node may report a longer kernel or a shorter DOCA-OFED version than the release declares.
    """
    left = sorted({*expect} - {*MEASURED, *LABELLED})
    measure(versions=dict(state.versions), bootId=state.boot_id, notCompared=left)
    wrong, unsure = [], []
    for component in (c for c in MEASURED if c in expect and state.versions.get(c)):
        running, scheme = state.versions[component], judgement.schemes.get(component, TEXT)
        package, known = package_of(component, running, judgement)
        if runs(scheme, expect[component], package):
            continue
        if not known:
            unsure.append(f"{component} reports {running}, which no known package does")
        else:
            wrong.append(f"{component} is {package}, expected {expect[component]}")
    driver = expect.get("nvidia-driver") or state.versions.get("nvidia-driver", "")
    for part in ("nvidia-user-space", "gsp-firmware"):
        running = state.versions.get(part, "")
        if driver and running not in ("", driver, "N/A"):
            wrong.append(f"{part} is {running}, the driver should be {driver}")
    loaded = state.marks.get("nvidia-driver")
    running = state.versions.get("nvidia-driver", "")
    if loaded is not None and running and loaded.version != running:
        wrong.append(f"the kernel log says that {loaded.version} was loaded last")
    wrong += labelled(state, expect)
    if wrong:
        judge.fail("; ".join(wrong))
    needed = [c for c in MEASURED if c in expect] + ["nvidia-driver", "nvidia-user-space"]
    unread = [c for c in dict.fromkeys(needed) if not state.versions.get(c)]
    if unread:
        unsure.append(f"can't read {', '.join(unread)}{state.trouble and ': '}{state.trouble}")
    if unsure:
        judge.inconclusive("; ".join(unsure))
    if left:
        judge.note(f"not compared here: {', '.join(left)}")


def test_operands_work_and_nothing_is_parked(
    node: str,
    states_at_rest: Mapping[str, NodeState],
    profile: Profile,
    baseline: Mapping[str, Any] | None,
) -> None:
    """Operands ready, all GPUs allocatable, labels in step with the module, no drainer's marks."""
    before = tuple((baseline or {}).get("operands", ()))
    state = readable(states_at_rest.get(node))
    places = (baseline or {}).get("places", {})
    gone = judge.waived_out(names_of(state), homes(places))
    wrong = [*wrong_for_good(state, profile, gone), *unsettled(state, profile, before, gone)]
    measure(operands=dict(state.operands), images=dict(state.images), gpus=len(state.gpus))
    measure(places=places_of(state))
    measure(allocatable={r: n for r, n in state.allocatable.items() if r.startswith(sharing.DOMAIN)})
    if wrong:
        judge.fail("; ".join(wrong))
    if nowhere := judge.nowhere([*places, *names_of(state), *profile.gpu_pci_addresses], "gpuPciAddresses"):
        judge.inconclusive(some(nowhere))
    if gone.excuses(profile.gpus - present(state, profile, gone)) is None:
        judge.inconclusive(f"nothing tells whether {', '.join(gone.untold)} is what lacks")
    if why := sharing.untold(state, present(state, profile, gone)):
        judge.inconclusive(why)
    if not state.operands:
        judge.inconclusive("no operand of the GPU Operator was found for this node")


def test_the_modules_beside_the_drivers_are_still_there(
    state: NodeState, baseline: Mapping[str, Any] | None
) -> None:
    """NFS over RDMA may stay out after another NIC driver (network-operator #1830). NVIDIA's own follow settings."""
    modules = state.inventory.get("modules")
    now = sorted(name for name, how in (modules or {}).items() if how != NOT_LOADED)
    measure(modules=now)
    before = (baseline or {}).get("modules", ())
    if modules is None and before:
        judge.inconclusive("can't read which modules are loaded")
    if gone := [name for name in before if name not in now and not name.startswith("nvidia")]:
        judge.fail(f"no longer loaded: {', '.join(gone)}")


def test_taints_and_cordon_are_as_they_should_be(
    node: str, state: NodeState, judgement: JudgeRequest
) -> None:
    """While a run holds the node: our taint and a cordon. Otherwise: nothing of ours. Another's cordon is not ours."""
    measure(taints=list(state.taints), unschedulable=state.unschedulable)
    keys = {taint.partition("=")[0].partition(":")[0] for taint in state.taints}
    wrong = []
    if names.QUARANTINE_TAINT in keys:
        wrong.append("the node is in quarantine")
    if judgement.claimed:
        if names.MAINTENANCE_TAINT not in keys:
            wrong.append("our maintenance taint is gone")
        if not state.unschedulable:
            wrong.append("somebody lifted our cordon")
    else:
        if names.MAINTENANCE_TAINT in keys:
            wrong.append("our maintenance taint is left over")
        if claim := state.annotations.get(names.CLAIM_ANNOTATION):
            wrong.append(f"the claim {claim} is left over")
    if wrong:
        judge.fail("; ".join(wrong))
    if state.unschedulable and not judgement.claimed:
        judge.inconclusive("somebody else cordoned the node: ask who, before it is used or judged")


def test_nothing_is_left_over(node: str, leftovers: Sequence[Leftover], judgement: JudgeRequest) -> None:
    """No job of an earlier judgement of this run anywhere, no parked operand or upgrade state on this node.

    Another run's or gate's Job is reported, not judged: it may be at work now.
    """
    others = [x for x in leftovers if x.of_others(judgement.run)]
    mine = [
        x for x in leftovers if x not in others and (x.kind == "job" or (x.kind in LEFT and x.where == node))
    ]
    measure(leftovers=len(mine), jobsOfOthers=len(others))
    if mine:
        judge.fail("; ".join(f"{x.kind} {x.where}: {x.detail}" for x in mine[:5]))


def places_of(state: NodeState) -> dict[str, str]:
    """PCI address -> UUID of the GPUs that the driver has, "" where the kernel does not tell it."""
    told = state.inventory.get("gpus", {})
    return {address: told.get(address, "").rpartition(" ")[2] for address in state.gpus}


def names_of(state: NodeState) -> set[str]:
    """By what names a waiver may know a GPU that is there."""
    return {name for pair in places_of(state).items() for name in pair if name}


def homes(places: Mapping[str, str]) -> dict[str, str]:
    """UUID -> PCI address, of the baseline's places."""
    return {uuid: address for address, uuid in places.items() if uuid}


def present(state: NodeState, profile: Profile, gone: Out) -> int:
    """How many GPUs the node has to offer: those that the driver has, where it has any."""
    return len(state.gpus) or profile.gpus - gone.sure


def labelled(state: NodeState, expect: Mapping[str, str]) -> Iterator[str]:
    """What a node's labels name and the release does not; whether it is there is for other gates to say."""
    for component, (label, none, what) in LABELLED.items():
        wanted, here = expect.get(component), state.labels.get(label, none)
        if wanted and here != wanted:
            yield f"{what} is {here or 'not named'}, expected {wanted}"


def wrong_for_good(state: NodeState, profile: Profile, gone: Out = NONE) -> Iterator[str]:
    """What no waiting mends. `gone`: GPUs that are known to be missing."""
    read = state.gpus or state.versions.get("nvidia-driver")  # neither: nothing of the driver could be read
    lack = profile.gpus - len(state.gpus)
    if read and (lack < 0 or gone.excuses(lack) is False):
        known = f", of which {gone.most} may be missing" if gone.most else ""
        yield f"the driver has {len(state.gpus)} GPUs, the profile {profile.gpus}{known}"


def unsettled(
    state: NodeState, profile: Profile, before: Sequence[str] = (), gone: Out = NONE
) -> Iterator[str]:
    """What is not right now, but may still become so. `before`: the operands that ran before the change."""
    if not state.ready:
        yield "the node is not Ready"
    for operand, how in sorted(state.operands.items()):
        if how != "ready":
            yield f"{operand}: {how}"
    for operand in sorted(set(before) - set(state.operands)):
        yield f"{operand} is gone"
    yield from sharing.missing(state, present(state, profile, gone))
    yield from sharing.unsettled(state)
    yield from marks(state)


def marks(state: NodeState) -> Iterator[str]:
    """Labels and annotations that drainers leave, and labels that lag behind the module."""
    for label, value in sorted(state.labels.items()):
        if label.startswith(DEPLOY) and "paused-for" in value:
            yield f"{label.removeprefix(DEPLOY)} is parked ({value})"
    module, labelled = state.versions.get("nvidia-driver", ""), state.labels.get(GFD, "")
    if module and labelled != module:  # a module that could not be read is another test's to tell
        yield f"GPU feature discovery says driver {labelled or 'nothing'}, the module is {module}"
    for label in UPGRADE_STATES:
        if state.labels.get(label, "upgrade-done") not in ("", "upgrade-done"):
            yield f"{label} is {state.labels[label]}"
    for mark in sorted(state.annotations):
        if mark.startswith("nvidia.com/") and mark.endswith(UPGRADE_MARKS):
            yield f"annotation {mark} is left over"
