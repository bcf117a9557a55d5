"""Rules about a cluster's hardware: one profile, or pools of several."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from knowngood.matrix.documents import Document
from knowngood.matrix.lint.registry import Context, Finding, known_are, rule
from knowngood.model.errors import Location


def pools(document: Document) -> Mapping[str, Sequence[str]]:
    """Profile -> its GPU nodes, as the file says it; empty where it says neither `profile` nor `pools`."""
    value = document.value
    found: Mapping[str, Sequence[str]] = value.get("pools") or {}
    return found or ({value["profile"]: value["nodes"]["gpu"]} if "profile" in value else {})


def place(document: Document, profile: str) -> Location:
    """Where the file names a profile."""
    return document.at_key("pools", profile) if "pools" in document.value else document.at("profile")


@rule("KG401", "A cluster has known hardware profiles.")
def profile_exists(context: Context) -> Iterator[Finding]:
    """The profile says which gates judge it."""
    known = context.documents.names("profiles")
    for document in context.documents.of("clusters").values():
        for name in pools(document):
            if name not in known:
                yield Finding(place(document, name), f"there is no profile {name!r}", known_are(known, name))


@rule("KG422", "A cluster names one profile, or pools in which each GPU node is once.")
def each_node_has_one_profile(context: Context) -> Iterator[Finding]:
    """A node without a profile can't be judged, and one with two is judged by the wrong one."""
    for document in context.documents.of("clusters").values():
        if "profile" in document.value and "pools" in document.value:
            message = "profile and pools are both there: which is it?"
            yield Finding(
                document.at_key("profile"), message, "keep pools where GPU nodes differ, else profile"
            )
        elif not pools(document):
            hint = "write profile: NAME, or pools where GPU nodes differ"
            yield Finding(document.at_key("nodes"), "neither profile nor pools is there", hint)
        if "pools" in document.value:
            yield from _misplaced(document)


def _misplaced(document: Document) -> Iterator[Finding]:
    """Nodes in two pools, in none, and nodes that have no GPUs."""
    gpu, seen = document.value["nodes"]["gpu"], dict[str, str]()
    for profile, nodes in document.value["pools"].items():
        for index, node in enumerate(nodes):
            at = document.at("pools", profile, index)
            if node in seen:
                yield Finding(at, f"{node} is in the pools {seen[node]} and {profile}", "keep one")
            elif node not in gpu:
                yield Finding(at, f"{node} is no GPU node of this cluster", known_are(gpu, node))
            seen.setdefault(node, profile)
    for index, node in enumerate(gpu):
        if node not in seen:
            hint = f"add it to one of {', '.join(document.value['pools'])}"
            yield Finding(document.at("nodes", "gpu", index), f"{node} is in no pool", hint)


@rule("KG423", "Each pool has a canary: a node of it in the first ring, judged before the rest of the pool.")
def each_pool_has_a_canary(context: Context) -> Iterator[Finding]:
    """What passed on one machine says nothing of another kind, and a later ring's failure undoes nothing."""
    for document in context.documents.of("clusters").values():
        if len(document.value.get("pools") or {}) < 2:
            continue
        first = document.value["rings"][0]
        at = document.at("rings", 0, "nodes")
        for profile, nodes in document.value["pools"].items():
            mine = [index for index, node in enumerate(first["nodes"]) if node in nodes]
            if not mine:
                message = f"{first['name']} has no node of the pool {profile}"
                yield Finding(at, message, f"move one of {', '.join(nodes)} to {first['name']}")
            elif len(mine) == len(nodes) > 1 and mine[0] // first["batch"] == mine[-1] // first["batch"]:
                message = f"the pool {profile} goes all at once, in one batch of {first['name']}"
                yield Finding(at, message, "lower `batch`, or move some of its nodes to a later ring")


@rule("KG426", "A gate is of one kind in all pools of a cluster.")
def gates_are_of_one_kind(context: Context) -> Iterator[Finding]:
    """What computes in one pool and only looks in another would be asked of tenants' nodes, or of drained ones only."""
    for document in context.documents.of("clusters").values():
        kinds: dict[str, tuple[str, str]] = {}
        for name in pools(document):
            profile = context.documents.of("profiles").get(name)
            for gate, said in (profile.value["gates"] if profile else {}).items():
                first, kind = kinds.setdefault(gate, (name, said["kind"]))
                if kind != said["kind"]:
                    message = f"the gate {gate} is {kind} in the profile {first} and {said['kind']} in {name}"
                    yield Finding(place(document, name), message, "give it one kind, or two names")
