"""What a gate can ask a probe for: what computes, and what a node's driver pod does not show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial

import pytest

from knowngood.adapters.cluster import facts
from knowngood.adapters.judging import probe_job, probe_manifest
from knowngood.adapters.judging.probe_manifest import Order
from knowngood.adapters.judging.probe_pod import CHECKPOINTS, GPU
from knowngood.adapters.judging.probe_pod import asked as taken
from knowngood.adapters.kubernetes.client import Kube
from knowngood.gate import kernel_log as kernel
from knowngood.gate.context import Context
from knowngood.gate.events import gate_of
from knowngood.gate.fixtures import COMPUTING, PAYLOAD, RDMA, REBOOTED, Look, module, payloads, readable
from knowngood.gate.verdicts import judge
from knowngood.model.hardware import Hardware
from knowngood.model.matrix import Profile
from knowngood.model.mover import Specs
from knowngood.model.node import NodeState
from knowngood.model.probe_pod import PodStorage
from knowngood.model.values import Values
from knowngood.planner import sharing
from knowngood.ports.cancel import Cancel

UNASKED = ("kind", "needs", "source", "withinDays", "failsAtOnce")
"""What a profile says of a gate and no payload has a use for."""
TRAINING = "training"
"""The payload that writes a checkpoint."""
NIC_MODULE = "mlx5_core"
Parameters = Callable[[Profile], Values]
"""What a gate's payloads are told on a machine of this kind."""
PROBE_SHARE = 0.6
"""Share of the judgement's deadline that the probes may take."""


@pytest.fixture(scope="session")
def answers(
    request: pytest.FixtureRequest, knowngood_context: Context, kube: Kube, begun: Mapping[str, NodeState]
) -> probe_job.Answers:
    """The answers of what computes: all nodes, all such payloads that the collected gates name."""
    computing = tuple(sorted(payloads(request) & {*COMPUTING}))
    return _asked(knowngood_context, kube, begun, computing, partial(_parameters, request))


@pytest.fixture(scope="session")
def portless(knowngood_context: Context, kube: Kube, look: Look) -> probe_job.Answers:
    """What probes say of RDMA on the nodes whose driver pod shows too few ports."""
    hardware = knowngood_context.hardware
    nodes = {n: s for n, s in look.states.items() if s.reachable and _seen(s) < _wanted(hardware.of(n))}
    return _asked(knowngood_context, kube, nodes, (RDMA,))


def _asked(
    context: Context,
    kube: Kube,
    nodes: Mapping[str, NodeState],
    wanted: tuple[str, ...],
    parameters: Parameters | None = None,
) -> probe_job.Answers:
    """Each node by its own profile: it has other GPUs, under other names, and is judged by other limits."""
    asked = context.request
    computing = bool({*wanted} & {*COMPUTING})
    own, unable, site = {}, {}, context.cluster.probe
    for name, state in nodes.items():
        profile = context.hardware.of(name)
        told = {"gpus": profile.gpus, **(parameters(profile) if parameters else {})}
        own[name], trouble = (
            share(profile, state, told, site.storage) if computing else (probe_manifest.Share(told), "")
        )
        if why := unfit(state, taken(own[name].needs, own[name].gpus).devices) or trouble:
            unable[name] = why
    order = Order(
        run=asked.run,
        name=asked.name,
        nodes=tuple(n for n in nodes if n not in unable),
        payloads=wanted,
        image=context.cluster.probe_image,
        deadline=asked.deadline * PROBE_SHARE,
        pull=context.cluster.limits.image_pull if computing else 0.0,
        namespace=context.namespace,
        site=site,
        own=own,
    )
    found = probe_job.run(kube, order, Cancel())
    return probe_job.Answers(found.documents, {**found.missing, **unable}, found.leftover)


def share(
    profile: Profile, state: NodeState, told: Values, storage: PodStorage | None = None
) -> tuple[probe_manifest.Share, str]:
    """What the probe takes that computes on a node, and is told; and why that can't be said, "" where it can.

    All that the node offers, each device once and under its own name, unless the profile names what is to be taken.
    """
    needs = profile.probe
    storage = storage if TRAINING in told else None
    if storage:
        told = {**told, TRAINING: {**told[TRAINING], "checkpointFolder": CHECKPOINTS["mountPath"]}}
    if needs.resources or needs.claims:
        return probe_manifest.Share(told, profile.gpus, needs, storage), ""
    offer = sharing.each_once(state, profile.gpus)
    whole, slices = sharing.parts(state, profile.gpus)
    if slices:
        told = {**told, "slices": slices, "whole": whole}
    elif offer.resources != sharing.offered(state, profile.gpus).resources:  # several replicas of each
        told = {**told, "shared": True}
    trouble = f"no probe was sent: {offer.trouble}" if offer.trouble else ""
    return probe_manifest.Share(
        told, whole + slices, replace(needs, resources=offer.resources), storage
    ), trouble


def _parameters(request: pytest.FixtureRequest, profile: Profile) -> dict[str, Values]:
    """Payload -> what its gate says of it in the profile, and what the machine has that it must use."""
    machine = {"nvswitch": profile.nvswitch, "rdmaMode": profile.rdma_mode}
    found: dict[str, Values] = {}
    for item in request.session.items:
        if (payload := str(getattr(module(item), PAYLOAD, ""))) in COMPUTING:
            limits = profile.gates.get(gate_of(item), {})
            found[payload] = {**machine, **{k: v for k, v in limits.items() if k not in UNASKED}}
    return found


@pytest.fixture
def probe(request: pytest.FixtureRequest, begun: Mapping[str, NodeState], node: str) -> Values:
    """The result of this gate's payload on the node: {ok, backend, reason, measured}."""
    payload = str(getattr(module(request.node), PAYLOAD))
    state = readable(begun.get(node))
    if payload != RDMA:
        return answer(request.getfixturevalue("answers"), state, payload)
    context: Context = request.getfixturevalue("knowngood_context")
    seen: NodeState = request.getfixturevalue("state")
    found = ports(seen, _wanted(context.hardware.of(node)), lambda: request.getfixturevalue("portless"))
    log = request.getfixturevalue("told").get(node, "")
    return {**found, "nicLoads": _nic_loads(seen, context.request.movers, log)}


def _nic_loads(seen: NodeState, movers: Specs, log: str) -> list[float]:
    """Seconds after boot when the NIC's driver was loaded, as far as the kernel log tells: its ports went down then."""
    proofs = [spec.proof for spec in movers.values() if spec.proof and spec.proof.module == NIC_MODULE]
    if not proofs:
        return []
    lines = facts.kernel_lines(seen.name, log)
    boot = kernel.plain(seen.boot_id)
    return [mark.at for mark in facts.loads(lines, proofs[0]) if kernel.plain(mark.boot_id) == boot]


@pytest.fixture
def pool(request: pytest.FixtureRequest, hardware: Hardware, node: str) -> Sequence[Values]:
    """This gate's payload on all nodes of the node's pool that gave an answer; what can't be read is left out."""
    payload = str(getattr(module(request.node), PAYLOAD))
    answers: probe_job.Answers = request.getfixturevalue("answers")
    mine = hardware.nodes(hardware.of(node), answers.documents)
    found = [answers.documents[one]["results"].get(payload) for one in mine]
    return [one for one in found if isinstance(one, Mapping) and isinstance(one.get("measured"), Mapping)]


def ports(seen: NodeState, wanted: int, portless: Callable[[], probe_job.Answers]) -> Values:
    """RDMA as the driver pod's files show it, or as a probe does where those show fewer ports than `wanted`.

    What belongs to the network namespace of the host, or of somebody's pod, is hidden from a pod with its own.
    """
    if _seen(seen) < wanted:
        return answer(portless(), seen, RDMA)
    boot = kernel.plain(seen.boot_id)
    return {"ok": True, "backend": "", "reason": "", "measured": seen.rdma, "bootId": boot}


def _wanted(profile: Profile) -> int:
    """The number of ports that a node must have by its profile; one at least, or nothing was seen."""
    given = {key: value for gate in profile.gates.values() for key, value in gate.items()}
    return max(1, int(given.get("expectedPorts") or profile.compute_nics.ports or profile.nics))


def _seen(state: NodeState) -> int:
    return len(state.rdma.get("ports", ()))


def answer(answers: probe_job.Answers, state: NodeState, payload: str) -> Values:
    """A payload's result from a node, of the boot in which it was judged; inconclusive where there is none."""
    if left := answers.leftover.get(state.name):
        judge.inconclusive(f"the probe could not be cleared away: {left}")
    document = answers.documents.get(state.name)
    if document is None:
        judge.inconclusive(answers.missing.get(state.name, "the probe gave no answer"))
    boot = kernel.plain(str(document.get("bootId", "")))
    if not boot:
        judge.inconclusive("the probe could not read the node's boot id")
    if boot != kernel.plain(state.boot_id):
        judge.inconclusive(REBOOTED)
    result = document["results"].get(payload)
    if not isinstance(result, Mapping) or not isinstance(result.get("measured"), Mapping):
        judge.inconclusive("the probe's answer lacks this payload's result")
    return {**result, "bootId": kernel.plain(state.boot_id)}


def unfit(state: NodeState, devices: Mapping[str, int]) -> str:
    """Why no probe pod could run on the node, known without waiting for the scheduler; "" if it could."""
    if not state.reachable or not state.ready:
        return "no probe was sent: the node is not ready"
    for name, count in devices.items():
        allocatable = state.allocatable.get(name, "0")
        if not allocatable.isdigit() or int(allocatable) < count:
            what = "GPUs" if name == GPU else name
            return f"no probe was sent: {allocatable} of {count} {what} are allocatable"
    return ""
