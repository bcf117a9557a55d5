"""Shared GPUs are offered as often as the node's own configuration says, and the driver lets them be shared.

Proves: of each resource that the device plugin's configuration shares (time-slicing or MPS), the node offers its
devices times the replicas, under the name that the configuration gives; the labels say the same; no GPU is in a compute
mode that lets one process have it alone. A node without sharing offers each device once.
Needs: the driver pod (exec of nvidia-smi -q -x), the ClusterPolicy and the device plugin's ConfigMap (get on
configmaps in the operator's namespace).
fail: another number or name after settleSeconds (of the profile, a proposal: 20); a compute mode other than Default
where GPUs are time-sliced.
inconclusive: the ConfigMap, or the key that the node's label names, can't be read or understood.
Thresholds: none; numbers are the configuration's (NVIDIA/k8s-device-plugin README, shared access to GPUs).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pytest

from knowngood.adapters.cluster.gpu_config import GpuConfig
from knowngood.adapters.cluster.nvidia_smi import Gpu
from knowngood.adapters.cluster.parting import REPLICAS, Share, in_mig, plugin_key, shares, unshared
from knowngood.gate import judge, measure
from knowngood.gate.driver import Reports
from knowngood.gate.fixtures import readable
from knowngood.gate.settling import Settle, settle_seconds
from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Profile
from knowngood.model.node import NodeState
from knowngood.planner import sharing

SETTLE = 20.0  # seconds
ALONE = ("Exclusive_Process", "Exclusive_Thread", "Prohibited")
"""Compute modes in which several processes can't have one GPU."""


@pytest.fixture(scope="session")
def shared_at_rest(settle: Settle, hardware: Hardware, gpu_settings: GpuConfig) -> Mapping[str, NodeState]:
    """All nodes once they offer what is configured, or settleSeconds are over."""

    def waits(state: NodeState) -> bool:
        found = configured(state, gpu_settings)
        return (
            state.reachable
            and not isinstance(found, str)
            and any(True for _ in unshared(state, found, hardware.of(state.name).gpus))
        )

    return settle(waits, settle_seconds(hardware, "time_slicing", SETTLE))


def test_what_is_shared_is_offered_as_configured(
    node: str,
    shared_at_rest: Mapping[str, NodeState],
    reports: Reports,
    gpu_settings: GpuConfig,
    profile: Profile,
) -> None:
    """Allocatable, labels, compute modes."""
    state, told = readable(shared_at_rest.get(node)), reports.told[node]
    found = configured(state, gpu_settings)
    if isinstance(found, str):
        judge.inconclusive(found)
    measure(shared={s.resource: [s.kind, s.replicas, s.offered_as] for s in found})
    wrong = list(unshared(state, found, profile.gpus))
    if any(s.kind == "time-slicing" for s in found):
        wrong += exclusive(told.report.gpus if told.report else ())
    if wrong:
        judge.fail("; ".join(wrong[:5]))
    if why := sharing.untold(state, sharing.present(state, profile.gpus)):
        judge.inconclusive(why)
    if told.trouble:
        judge.inconclusive(told.trouble)
    gpus = told.report.gpus if told.report else ()
    known = ("Default", *ALONE)
    if found and (silent := [gpu.address for gpu in gpus if gpu.told("computeMode") not in known]):
        judge.inconclusive(f"the compute mode of {', '.join(silent)} is not told, or in no known word")
    judge.note("" if found else "no GPU is shared")


def configured(state: NodeState, config: GpuConfig) -> list[Share] | str:
    """What the node's configuration shares, or why that can't be told."""
    key = plugin_key(state, config)
    if config.plugin_trouble:
        return config.plugin_trouble
    if not config.policy and state.labels.get(REPLICAS, "1") not in ("0", "1"):
        return "its labels speak of shared GPUs, and no ClusterPolicy says how they are shared"
    if not config.named or not key:
        return []
    if key not in config.plugin:
        return f"the device plugin's configuration has no key {key}"
    try:
        return shares(config.plugin[key])
    except ValueError as error:
        return f"the device plugin's configuration {key} can't be understood: {error}"


def exclusive(gpus: Sequence[Gpu]) -> Iterator[str]:
    """GPUs that one process may have alone."""
    for gpu in gpus:
        if gpu.told("computeMode") in ALONE and not in_mig(gpu):
            yield f"{gpu.address} is in compute mode {gpu.told('computeMode')}"
