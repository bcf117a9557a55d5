"""Nodes carry between each other what they should: perftest on every rail from GPU memory, NCCL over all of them.

Proves: with each of its partners, each compute port reaches its rate both ways out of GPU memory (by DMA-BUF where the
profile says so), and answers reads in time; an all-reduce over both nodes' GPUs gives the right values at its
bandwidth, by the transport that NCCL's own log names: RDMA where the profile promises it, never sockets.
Needs: two nodes at least, each with a probe Job that takes all its GPUs and RDMA devices (active: only on nodes without
tenants), perftest with CUDA and nccl-tests with MPI in its image. Pairs meet in rounds (`rounds` of a round-robin
tournament, three unless the profile says otherwise); a node that is alone meets one of the batch, or of the cluster
file's probe.partners, on which nobody works.
fail: a link is below minGbPerSecond of the profile, minBaselineRatio of the two ports' own baseline or minPoolRatio of
the median, or takes longer than maxReadLatencyUs, maxLatencyRatio of the baseline or three times the median, or loses
what is sent, and it is this node's port, this node, or what lies between: told by who else is bad with it; NCCL below
minAllReduceGBps or minAllReduceRatio; a wrong value; another transport than promised. The reason names PCI address or
GUID.
inconclusive: it met nobody, or on some rail nobody that is good; a port of the baseline was not measured; a tool is
missing or did not start or end; no meeting tells of the all-reduce whether its values are right, that all ranks of both
nodes took part, and the node's transport.
A partner that did not come speaks against itself alone.
Thresholds: the profile's, sources there; the ratios are in knowngood.gate.fabric.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from knowngood.gate import judge, measure, some
from knowngood.gate.fabric import NCCL, described
from knowngood.gate.fabric_blame import against, blame, unproven
from knowngood.gate.meeting import Meeting
from knowngood.model.matrix import Profile

PAYLOAD = "fabric"


def test_fabric(
    node: str,
    meeting: Meeting,
    profile: Profile,
    limits: Mapping[str, Any],
    baseline: Mapping[str, Any] | None,
) -> None:
    """See the module. `baseline`: of this node; those of its partners are the meeting's."""
    judged, own = meeting.judged(profile, limits), meeting.documents.get(node, {})
    links = judged.links
    measure(
        ports=judged.best(node),
        partners=judged.partners(node),
        pairs=[list(pair) for one in meeting.rounds for pair in one if node in pair],
        **{key: own[key] for key in ("parts", "ncclEnvironment") if key in own},
        tenantsNccl=meeting.tenants_nccl,
    )
    # A slow port slows NCCL, too: the cause is told first.
    said = sorted(against(node, blame(links)), key=lambda one: one.rail == NCCL)
    found = [described(one, judged.met) for one in said]
    if wrong := [*found, *judged.own(node)]:
        judge.fail(some(wrong))
    if node in meeting.missing:
        judge.inconclusive(meeting.missing[node])
    if not judged.partners(node):
        judge.inconclusive(meeting.alone or "it met nobody")
    left = unproven(node, links)
    whys = dict.fromkeys(link.why for tried in left.values() for link in tried if link.why)
    unsure = [*judged.unsure(node), *whys] if left else []
    if left or not any(node in link.ends for link in links):
        rails = ", ".join("NCCL" if rail < 0 else str(rail) for rail in sorted(left)) or "any"
        judge.inconclusive(
            some([f"no good link on rail {rails}", *dict.fromkeys(unsure or ["it met nobody"])])
        )
    if untold := judged.untold(node):
        judge.inconclusive(some(untold))
    if lost := [part for part in (baseline or {}).get("parts", ()) if part not in own.get("parts", ())]:
        judge.inconclusive(f"measured before the change, and not now: {some(lost)}")
    if doubts := meeting.doubts(node, judged, limits):
        judge.note(some(doubts))
