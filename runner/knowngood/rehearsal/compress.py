"""The cluster and profile files a rehearsal runs with: the user's own, fed by a local repository, durations divided.

Time stamps stay real; only durations are divided. What real processes need (Ansible, pytest, an API call)
does not shrink with the twin's clock, so each deadline keeps a floor.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import fields

from knowngood.model.matrix import Cluster, Limits, Profile
from knowngood.model.values import Object, Values
from knowngood.rehearsal.places import playable

PROBE_IMAGE = f"knowngood.invalid/probe@sha256:{'0' * 64}"
"""Where the cluster file names none: a twin's kubelet starts the probe as a process and pulls nothing."""

FLOORS: Mapping[str, float] = {
    "lease": 15.0,
    "deliver": 60.0,
    "claim": 60.0,
    "drain": 60.0,
    "apply": 60.0,
    "judge": 90.0,
    "image_pull": 60.0,
    "release": 60.0,
    "soak": 1.0,
    "operand_age": 20.0,
    "node_unreachable": 20.0,
    "undo": 60.0,
    "settle": 60.0,
    "leaky": 600.0,
}
"""Seconds; measured on two cores: an Ansible verb takes 2 to 8 s, a judgement 3 to 15 s."""

FLOORS_EACH: Mapping[str, float] = {"claim": 0.5, "drain": 0.5, "apply": 1.0, "judge": 1.5, "release": 0.5}
"""Seconds more for each GPU node beyond FEW: all of a ring's nodes share the same two cores, and each probe, exec and
eviction is a process or a dozen requests there; a probe takes a third of a second of them."""
FEW = 6
EVICTION_FLOOR = 10.0
SETTLE_FLOOR = 10.0
"""Seconds for labels and allocatable: a gate that finds them wrong waits so long, and once more in its second test."""


def limits(original: Limits, scale: float, nodes: int = FEW) -> Limits:
    """`original` divided by `scale`, never below its floor for so many GPU nodes (nor above what it was)."""
    more = max(nodes - FEW, 0)

    def short(name: str) -> float:
        value: float = getattr(original, name)
        return min(value, max(value / scale, FLOORS[name] + FLOORS_EACH.get(name, 0.0) * more))

    return Limits(**{f.name: short(f.name) for f in fields(Limits)})


def cluster_file(cluster: Cluster, repo: str, scale: float, bmcs: Values | None = None) -> Object:
    """The rehearsal's cluster file as JSON values, made from `cluster.raw`.

    It reads the Git `repo` (a URL), pins no identity (a twin makes a new one at each start, so no rehearsal
    can become evidence), has no window, names no credentials, and silences the twin's own alerts only. `bmcs`: the
    twin's, where it plays any.
    """
    data: Object = copy.deepcopy(dict(cluster.raw))
    data.pop("identity", None)
    data.pop("bmcs", None)  # a rehearsal never asks real machines
    data |= {"bmcs": dict(bmcs)} if bmcs else {}
    data.pop("registry", None)  # a twin has none, and the real one holds no image of a twin's
    data.setdefault("probeImage", PROBE_IMAGE)
    data.pop("windowEnd", None)
    # A twin has no queues, pull secrets or runtime classes of this site; whom its nodes may meet is the plan's.
    if partners := (data.pop("probe", None) or {}).get("partners"):
        data["probe"] = {"partners": partners}
    own = {"credentials", "pullRequests"}  # the twin's branch takes pushes, and no command of a team's is run
    gitops = {k: v for k, v in dict(data.get("gitops", {})).items() if k not in own}
    data["gitops"] = {**gitops, "repo": repo}
    data["declare"] = playable(data["declare"], gitops["applications"])
    if "alertmanager" in data:
        labels = {k: v for k, v in data["alertmanager"].items() if k == "labels"}
        data["alertmanager"] = {"at": played_alertmanager(cluster), **labels}
    short = limits(cluster.limits, scale, len(cluster.gpu))
    seconds = {_key(name): _number(value) for name, value in _named(short)}
    data["limits"] = {**seconds, "runsKept": cluster.runs_kept}
    for tenant in data.get("tenants", []):
        if "evictionDeadlineSeconds" in tenant:
            deadline = float(tenant["evictionDeadlineSeconds"])
            tenant["evictionDeadlineSeconds"] = _number(min(deadline, max(deadline / scale, EVICTION_FLOOR)))
    return data


def played_alertmanager(cluster: Cluster) -> str:
    """Where the twin plays the cluster's Alertmanager: a rehearsal never asks the real one."""
    return "monitoring/alertmanager:9093" if cluster.alertmanager.url else cluster.alertmanager.at


def profile_file(profile: Profile, scale: float, without: Collection[str] = ()) -> Object:
    """The rehearsal's hardware profile as JSON values, made from `profile.raw`; `without`: gates that it leaves out.

    Gates wait less and ask the same, but for smoke gates: a twin has no GPU to compute on, and what ran on another
    backend than the profile's is inconclusive.
    """
    data: Object = copy.deepcopy(dict(profile.raw))
    data.pop("probe", None)  # nor device plugins of this site: its GPUs are whole
    data["gates"] = {name: gate for name, gate in data["gates"].items() if name not in without}
    for gate in data["gates"].values():
        if "backend" in gate:
            gate["backend"] = "reference"
        if "settleSeconds" in gate:
            seconds = float(gate["settleSeconds"])
            gate["settleSeconds"] = _number(min(seconds, max(seconds / scale, SETTLE_FLOOR)))
    return data


def _named(values: Limits) -> list[tuple[str, float]]:
    return [(f.name, getattr(values, f.name)) for f in fields(Limits)]


def _key(name: str) -> str:
    """A limit's key in the file: `operand_age` is `operandAgeSeconds`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest) + "Seconds"


def _number(value: float) -> int | float:
    return int(value) if value == int(value) else round(value, 3)
