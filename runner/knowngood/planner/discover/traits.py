"""What rules ask of a cluster, each only where an object says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from knowngood.model.values import Values
from knowngood.planner.discover.seen import Seen, Told, labels_of, name_of, space_of
from knowngood.planner.roles import CONTROL_PLANE_LABELS
from knowngood.planner.version import variant

Answer = tuple[str, str]
"""A trait's value and where it was seen; ("", why not)."""
MIRRORS = ("ImageDigestMirrorSet", "ImageTagMirrorSet", "ImageContentSourcePolicy")
NETWORKS = {
    "OVNKubernetes": "ovn-kubernetes",
    "OpenShiftSDN": "openshift-sdn",
    "Cilium": "cilium",
    "Calico": "calico",
}
METAL = "BareMetal"
"""The platform of an Infrastructure object that is machines as they are. None is any that OpenShift does not manage."""


def traits(seen: Seen, told: Told) -> None:
    """All of them; a question for each that nothing shows."""
    found, how = {}, []
    for trait, look in LOOKS.items():
        value, said = look(seen)
        if value:
            found[trait] = value
            how.append(f"{trait} by {said}")
        else:
            told.ask("traits", f"{trait}: {said}")
    if found:
        told.tell("traits", found, "; ".join(how))


def _missing(seen: Seen, kind: str) -> str:
    return seen.unread.get(kind, f"there is no {kind} to read")


def platform(seen: Seen) -> Answer:
    """OpenShift by its ClusterVersion; OKD, which has one too, is told apart by its version and is none we know."""
    if not seen.read("ClusterVersion"):
        return "", _missing(seen, "ClusterVersion")
    for version in seen.of("ClusterVersion"):
        text = str(((version.get("status") or {}).get("desired") or {}).get("version") or "")
        if "okd" in text:
            return "", f"ClusterVersion says {text}: OKD, of which the matrix knows nothing"
        return ("openshift", f"ClusterVersion {text}") if text else ("", "ClusterVersion has no version yet")
    if talos := [n for n in seen.of("Node") if _os(n).startswith("Talos")]:
        return "talos", f"osImage of {name_of(talos[0])}"
    if built := {text for n in seen.of("Node") if (text := _distribution(n))}:
        what = f"kubelets are {', '.join(sorted(built))}, a distribution of which the matrix knows nothing"
        return "", f"{what}; say kubernetes if what it says of upstream counts here"
    return ("kubernetes", "no ClusterVersion is served") if seen.of("Node") else ("", "no node was read")


def _distribution(node: Values) -> str:
    """A kubelet's version where it is no upstream build, or one that can't be read."""
    info = (node.get("status") or {}).get("nodeInfo") or {}
    text = str(info.get("kubeletVersion") or "").removeprefix("v")
    try:
        return text if text and variant("kubernetes", text) else ""
    except ValueError:
        return text


def _os(node: Values) -> str:
    info = (node.get("status") or {}).get("nodeInfo") or {}
    return str(info.get("osImage") or "")


def infrastructure(seen: Seen) -> Answer:
    """By the Infrastructure object."""
    for obj in seen.of("Infrastructure"):
        status = obj.get("status") or {}
        kind = str((status.get("platformStatus") or {}).get("type") or status.get("platform") or "")
        if kind == METAL:
            return "bare-metal", f"Infrastructure platform {kind}"
        return "", f"Infrastructure says platform {kind or 'nothing'}: which of bare-metal, virtual is it"
    return "", f"bare-metal or virtual; {_missing(seen, 'Infrastructure')}"


def network(seen: Seen) -> Answer:
    """By the Network object of OpenShift, else by Cilium's or Calico's DaemonSet."""
    for obj in seen.of("Network"):
        kind = str((obj.get("status") or {}).get("networkType") or "")
        if kind in NETWORKS:
            return NETWORKS[kind], f"Network networkType {kind}"
    for daemon_set in seen.of("DaemonSet"):
        if name_of(daemon_set) in {"cilium", "calico-node"}:
            which = name_of(daemon_set).partition("-")[0]
            return which, f"DaemonSet {space_of(daemon_set)}/{name_of(daemon_set)}"
    return "", f"the pod network; {_missing(seen, 'Network')}"


def disconnected(seen: Seen) -> Answer:
    """True where the default catalogs are switched off, or images are mirrored."""
    for hub in seen.of("OperatorHub"):
        if (hub.get("spec") or {}).get("disableAllDefaultSources") is True:
            return "true", "OperatorHub has its default sources off"
    sets = [o for kind in MIRRORS for o in seen.of(kind)]
    if sets:
        return (
            "",
            f"is it without the internet: images are mirrored ({name_of(sets[0])}), the catalogs are not",
        )
    return "", f"is it without the internet; {_missing(seen, 'OperatorHub')}"


def topology(seen: Seen) -> Answer:
    """By how many control-plane nodes there are, and whether there is any other."""
    nodes = seen.of("Node")
    count = sum(any(key in labels_of(n) for key in CONTROL_PLANE_LABELS) for n in nodes)
    if count == len(nodes) == 1:
        return "single-node", "it is the only node"
    if count == 1:
        return "one-control-plane", "one control-plane node"
    if count >= 3:
        return "ha", f"{count} control-plane nodes"
    return "", f"{count} control-plane nodes were seen"


LOOKS: Mapping[str, Callable[[Seen], Answer]] = {
    "platform": platform,
    "infrastructure": infrastructure,
    "network": network,
    "disconnected": disconnected,
    "topology": topology,
}
