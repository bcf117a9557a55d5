"""Each GPU is parted as the node's own configuration says, in the same places as before, and offered so.

Proves: mig-manager has applied the layout that the node's label names; each GPU is in the mode and has the MIG devices
that this layout gives it, by the driver's own list; their places are those of the baseline; what is allocatable
follows from them. A node without MIG proves that it has none.
Needs: the driver pod (exec of nvidia-smi -q -x, and -L where a GPU is in MIG mode), the ClusterPolicy and mig-manager's
ConfigMap (get on configmaps in the operator's namespace).
fail: another mode, number, profile or place; another layout than before that the release does not name; mig-manager
says failed; a mode that waits for a reset; MIG where no layout asks for it.
inconclusive: the layout, the ConfigMap or the driver's list can't be read; mig-manager is still at work after
settleSeconds (of the profile, a proposal: 60), which the device plugin after it has, too.
Noted: GPUs that somebody parted by hand, without a label: they are compared with the baseline only.
Thresholds: none; counts are the configuration's. After a driver's move Hopper's layout is gone until it is applied
again (NVIDIA's MIG user guide; NVIDIA/mig-parted issues 9 and 219).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pytest

from knowngood.adapters.cluster.gpu_config import GpuConfig
from knowngood.adapters.cluster.nvidia_smi import Gpu
from knowngood.adapters.cluster.parting import MIG_CONFIG, MIG_STATE, expected, in_mig, otherwise, pending
from knowngood.gate import judge, measure
from knowngood.gate.driver import Ask, Reports, Told
from knowngood.gate.fixtures import readable
from knowngood.gate.parting import Parted, parted
from knowngood.gate.settling import Settle, settle_seconds
from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Profile
from knowngood.model.node import NodeState
from knowngood.planner import sharing

SETTLE = 20.0  # seconds
NONE, COMPONENT = "all-disabled", "mig-config"
Slices = Mapping[str, Mapping[str, str]]


@pytest.fixture(scope="session")
def parted_at_rest(settle: Settle, hardware: Hardware) -> Mapping[str, NodeState]:
    """All nodes once mig-manager is not at work any more and the GPUs are offered again, or settleSeconds are over."""

    def waits(state: NodeState) -> bool:
        if not state.reachable or not state.labels.get(MIG_CONFIG):
            return False
        there = sharing.present(state, hardware.of(state.name).gpus)
        return at_work(state) or any(True for _ in sharing.missing(state, there))

    return settle(waits, settle_seconds(hardware, "mig_layout", SETTLE))


@pytest.fixture(scope="session")
def parted_now(
    parted_at_rest: Mapping[str, NodeState], states: Mapping[str, NodeState], reports: Reports, ask: Ask
) -> Mapping[str, Parted]:
    """What the driver says of how each node is parted: asked again where mig-manager was at work when it was asked."""
    late = [n for n, s in states.items() if s.reachable and at_work(s) and not at_work(parted_at_rest[n])]
    return parted(ask, {**reports.told, **(reports.again(late) if late else {})})


def test_each_gpu_is_parted_as_configured(
    node: str,
    parted_at_rest: Mapping[str, NodeState],
    parted_now: Mapping[str, Parted],
    gpu_settings: GpuConfig,
    profile: Profile,
    expect: Mapping[str, str],
    baseline: Mapping[str, Any] | None,
) -> None:
    """Mode, devices, places and what is allocatable. Places are compared where the layout is as it was."""
    state, told = readable(parted_at_rest.get(node)), parted_now[node].told
    gpus = told.report.gpus if told.report else ()
    slices, places = parted_now[node].slices, dict(state.inventory.get("mig", {}))
    label, how = state.labels.get(MIG_CONFIG, ""), state.labels.get(MIG_STATE, "")
    used = any(map(in_mig, gpus)) or any(places.values()) or label not in ("", NONE)
    measure(layout=label, places={gpu: words for gpu, words in places.items() if words})
    wrong = [f"mig-manager says {how} of layout {label}"] if label and how == "failed" else []
    wrong += [f"{gpu.address} waits for a reset to change its MIG mode" for gpu in gpus if pending(gpu)]
    unread = unreadable(told, gpus, slices, state)
    if label and used:
        found = expected(label, gpus, gpu_settings)
        unread += [found] if isinstance(found, str) else []
        if not isinstance(found, str) and not unread and not at_work(state):
            wrong += otherwise(gpus, found, slices or {})
    before = baseline or {}
    if (was := before.get("layout", label)) != label:
        wrong += (
            []
            if expect.get(COMPONENT) == label
            else [f"its layout is {label or NONE}, before the change {was or NONE}"]
        )
    elif not at_work(state):
        wrong += moved(places, before.get("places"), state)
    if used and not at_work(state) and not unread:
        there = sharing.present(state, profile.gpus)
        wrong += sharing.missing(state, there)
        unread += filter(None, [sharing.untold(state, there)])
    if wrong:
        judge.fail("; ".join(wrong[:5]))
    if label and at_work(state):
        unread.append(f"mig-manager is at work: {how or 'it has said nothing'}")
    if unread:
        judge.inconclusive("; ".join(unread[:5]))
    judge.note("" if label or not used else "parted by hand: no layout is named, only the baseline counts")


def at_work(state: NodeState) -> bool:
    """Whether mig-manager has a layout to apply and has not ended."""
    return bool(state.labels.get(MIG_CONFIG)) and state.labels.get(MIG_STATE, "") not in ("success", "failed")


def unreadable(told: Told, gpus: Sequence[Gpu], slices: Slices | None, state: NodeState) -> list[str]:
    """What must be known to tell how a node is parted, or that it is not, and is not known."""
    if told.trouble:
        return [told.trouble]
    found = [] if gpus else ["the driver describes no GPU"]
    # A GPU that can't be parted says N/A.
    found += [f"{gpu.address}: its MIG mode is not told" for gpu in gpus if not gpu.values.get("migMode")]
    if any(map(in_mig, gpus)) and slices is None:
        found.append("the driver's list of MIG devices can't be read")
    if "mig" not in state.inventory:
        found.append("the places of MIG instances can't be read")
    return found


def moved(places: Mapping[str, str], before: Mapping[str, str] | None, state: NodeState) -> Iterator[str]:
    """GPUs whose instances are not where they were: counts alone are no placement."""
    if before is None or "mig" not in state.inventory:
        return
    for gpu in sorted({*places, *before}):
        now, then = places.get(gpu, ""), before.get(gpu, "")
        if now != then:
            yield f"{gpu} has instances {now or 'none'}, before the change {then or 'none'}"
