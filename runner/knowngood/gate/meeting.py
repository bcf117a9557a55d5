"""Who meets whom, and what they measured: the probes of all pairs of a judgement, in one go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import zip_longest

import pytest

from knowngood.adapters.cluster import nccl_settings
from knowngood.adapters.judging import probe_job
from knowngood.adapters.judging.probe_manifest import Order, Share, fabric_name
from knowngood.adapters.judging.probe_pod import asked as taken
from knowngood.adapters.kubernetes.client import Kube
from knowngood.gate.context import Context
from knowngood.gate.events import gate_of
from knowngood.gate.fabric import Judged
from knowngood.gate.fixtures import COMPUTING, FABRIC, PAYLOAD, module, payloads
from knowngood.gate.probing import UNASKED, answer, unfit
from knowngood.gate.verdicts import GateInconclusive, some
from knowngood.model.context import JudgeRequest
from knowngood.model.errors import KnowngoodError
from knowngood.model.matrix import Profile
from knowngood.model.node import NodeState
from knowngood.model.values import Object, Values
from knowngood.planner.pairs import Round, rounds, together
from knowngood.ports.cancel import Cancel
from knowngood.ports.cluster import ClusterReader

ROUNDS = 3
"""Partners of each node unless the profile says otherwise: two tell a bad port from a bad partner."""
ALONE_SHARE, BESIDE_SHARE = 0.6, 0.3
"""Share of the judgement's deadline for the meeting: by itself, or beside payloads that compute first."""


@dataclass
class Meeting:
    """One meeting. `documents`: node -> what it measured; `missing`: node -> why it said nothing, or not all.

    `alone`: why nobody met; `kinds`: node -> its profile; `baselines`: node -> this gate's figures of before.
    """

    rounds: tuple[Round, ...]
    documents: Mapping[str, Values] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)
    alone: str = ""
    baselines: Mapping[str, Values] = field(default_factory=dict)
    tenants_nccl: Mapping[str, Mapping[str, list[str]]] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    _judged: dict[str, Judged] = field(default_factory=dict)

    def judged(self, profile: Profile, limits: Values) -> Judged:
        """What machines of a profile measured among themselves against its limits, worked out once."""
        if profile.name not in self._judged:
            dma_buf = profile.rdma_mode == "dma-buf"
            own = {n: d for n, d in self.documents.items() if self.kinds.get(n, profile.name) == profile.name}
            self._judged[profile.name] = Judged(
                own, limits, self.baselines, dma_buf=dma_buf, gpus=profile.gpus
            )
        return self._judged[profile.name]

    def doubts(self, node: str, judged: Judged, limits: Values) -> list[str]:
        """What a node that passes should still be told: partners that did not come, tenants' other settings."""
        away = [f"{n} did not: {self.missing[n]}" for n in judged.partners(node) if n in self.missing]
        settings = {str(k): str(v) for k, v in (limits.get("nccl") or {}).items()}
        other = nccl_settings.otherwise(self.tenants_nccl, settings)
        return [*judged.unsure(node), *away, *([some(other, 1)] if other else [])]


@pytest.fixture(scope="session")
def meeting(
    request: pytest.FixtureRequest,
    knowngood_context: Context,
    kube: Kube,
    reader: ClusterReader,
    begun: Mapping[str, NodeState],
) -> Meeting:
    """All pairs of this judgement, measured. What computes on these GPUs by itself goes first."""
    computing = bool(payloads(request) & {*COMPUTING})
    if computing:
        with suppress(KnowngoodError):  # the gates that need the answers say so
            request.getfixturevalue("answers")
    context, gate = knowngood_context, _gate(request)
    fit, outside, unable = _fit(context, gate, begun, reader)
    meet, tournament = _tournament(context, gate, fit, outside)
    tenants = [n for t in context.cluster.tenants for n in t.namespaces]
    found = Meeting(
        rounds=tournament,
        missing=unable,
        alone=_alone(fit, context.request),
        baselines=_baselines(gate, context.request),
        tenants_nccl=nccl_settings.of_tenants(kube, tenants),
        kinds={node: context.hardware.of(node).name for node in meet},
    )
    if not tournament:
        return found
    share = BESIDE_SHARE if computing else ALONE_SHARE
    order = _order(context, gate, meet, tournament, context.request.deadline * share)
    answers = probe_job.run(kube, order, Cancel())
    found.documents, found.missing = _told(answers, {**begun, **outside}, meet, unable)
    return found


def _gate(request: pytest.FixtureRequest) -> str:
    """The gate that asked for it."""
    return next(gate_of(i) for i in request.session.items if getattr(module(i), PAYLOAD, "") == FABRIC)


def _fit(
    context: Context, gate: str, begun: Mapping[str, NodeState], reader: ClusterReader
) -> tuple[list[str], dict[str, NodeState], dict[str, str]]:
    """The judged nodes that can take a probe; those outside on which no tenant works; why one of the first can't."""

    def why(name: str, state: NodeState) -> str:
        profile = context.hardware.of(name)
        return unfit(state, taken(profile.probe, profile.gpus).devices)

    judged = context.request.only.get(gate, context.request.nodes)
    unable = {name: words for name in judged if name in begun and (words := why(name, begun[name]))}
    fit = [name for name in judged if name in begun and name not in unable]
    candidates = [n for n in context.request.partners if n not in judged]
    if not candidates:
        return fit, {}, unable
    busy = {node for work in reader.workloads() for node in work.nodes}
    standing = reader.standing([n for n in candidates if n not in busy])
    return fit, {n: s for n, s in standing.items() if not why(n, s)}, unable


def _tournament(
    context: Context, gate: str, fit: Sequence[str], outside: Iterable[str]
) -> tuple[list[str], tuple[Round, ...]]:
    """Who meets, and in which rounds: machines of one kind among themselves, since a rail joins like ports."""
    meet: list[str] = []
    played: list[tuple[Round, ...]] = []
    for profile in context.hardware.profiles:
        most = int(profile.gates.get(gate, {}).get("rounds", ROUNDS))
        own = context.hardware.nodes(profile, fit)
        if own and (here := together(own, context.hardware.nodes(profile, outside), most)):
            meet += here
            played.append(rounds(here, most))
    return meet, tuple(
        tuple(pair for one in side for pair in one) for side in zip_longest(*played, fillvalue=())
    )


def _alone(fit: Sequence[str], request: JudgeRequest) -> str:
    if len(fit) > 1:
        return "it met nobody"
    if not request.partners:
        return "no other node is judged with it, and the cluster file names no probe.partners"
    return f"no other node is judged with it, and none of {', '.join(request.partners)} is ready and free of work"


def _baselines(gate: str, request: JudgeRequest) -> dict[str, Values]:
    if request.taking_baseline:
        return {}
    return {key.partition("/")[2]: v for key, v in request.baseline.items() if key.partition("/")[0] == gate}


def _order(
    context: Context, gate: str, meet: Sequence[str], tournament: Sequence[Round], deadline: float
) -> Order:
    order = Order(
        run=context.request.run,
        name=fabric_name(context.request.name),
        nodes=tuple(meet),
        payloads=(FABRIC,),
        image=context.cluster.probe_image,
        deadline=deadline,
        namespace=context.namespace,
        site=context.cluster.probe,
        pull=context.cluster.limits.image_pull,
        together=True,
    )
    shown: Object = {
        "session": order.group,
        "rounds": [[[*pair] for pair in one] for one in tournament],
        "names": {node: order.name_of(node) for node in meet},
    }
    return replace(order, own={node: _share(context.hardware.of(node), gate, shown) for node in meet})


def _share(profile: Profile, gate: str, shown: Values) -> Share:
    """What a node's probe takes and is told."""
    nics = profile.compute_nics
    compute: Object = {
        "count": int(nics.ports or profile.nics),
        "pciAddresses": [*nics.pci_addresses],
        "boardIds": [*nics.boards],
        "linkLayer": nics.link_layer,
    }
    asked: Object = {
        **{k: v for k, v in profile.gates.get(gate, {}).items() if k not in UNASKED},
        **shown,
        "compute": {k: v for k, v in compute.items() if v},
        "rdmaMode": profile.rdma_mode,
        "nvswitch": profile.nvswitch,
    }
    return Share({"gpus": profile.gpus, FABRIC: asked}, profile.gpus, profile.probe)


def _told(
    answers: probe_job.Answers,
    states: Mapping[str, NodeState],
    meet: Sequence[str],
    unable: Mapping[str, str],
) -> tuple[dict[str, Values], dict[str, str]]:
    """What each node measured, and why one said nothing."""
    documents: dict[str, Values] = {}
    missing = dict(unable)
    for node in meet:
        try:
            found = answer(answers, states[node], FABRIC)
        except GateInconclusive as error:
            missing[node] = str(error)
            continue
        documents[node] = found["measured"]
        if found.get("ok") is not True:
            missing[node] = str(found.get("reason") or "the payload could not measure")
    return documents, missing
