"""Rules about what a cluster file says of single nodes (known bad parts, how their GPUs are offered) and components."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from knowngood.matrix.lint.pools import pools
from knowngood.matrix.lint.registry import Context, Finding, known_are, rule
from knowngood.matrix.locate import gates_dir
from knowngood.model.parts import is_gpu, is_nic, is_place, meant_nic, short
from knowngood.planner.movable import obstacle

HEEDING = frozenset({"drift", "driver_health", "rdma_health"})
"""Of the gates that ship, those that heed a waiver: the others judge no part that could be left out by itself."""


OF_GPUS = frozenset({"drift", "driver_health"})
"""Of these, those whose parts are GPUs; the parts of rdma_health are NICs and ports, by whatever they are known."""


@rule(
    "KG420",
    "A waiver names a GPU node of its cluster, a gate of its profile, a part as it names it, and a day that exists.",
)
def waivers_name_what_there_is(context: Context) -> Iterator[Finding]:
    """One that fits nothing waives nothing, and is found out at night."""
    for document in context.documents.of("clusters").values():
        of = {node: name for name, nodes in pools(document).items() for node in nodes}
        gpu = set(document.value["nodes"]["gpu"])
        for index, waiver in enumerate(document.value.get("waivers", ())):
            if waiver["node"] not in gpu:
                message = f"{waiver['node']} is no GPU node of this cluster"
                yield Finding(document.at("waivers", index, "node"), message, known_are(gpu, waiver["node"]))
            profile = context.matrix.profiles.get(of.get(waiver["node"], ""))
            if profile is not None and waiver["gate"] not in profile.gates:
                message = f"{profile.name} has no gate {waiver['gate']!r}"
                yield Finding(
                    document.at("waivers", index, "gate"), message, known_are(profile.gates, waiver["gate"])
                )
            elif waiver["gate"] not in HEEDING and (gates_dir() / f"{waiver['gate']}.py").exists():
                message = f"the gate {waiver['gate']} heeds no waiver, so this one waives nothing"
                yield Finding(
                    document.at("waivers", index, "gate"), message, known_are(HEEDING, waiver["gate"])
                )
            if hint := _misnamed(waiver["gate"], waiver["part"]):
                message = f"{waiver['part']} is no part that {waiver['gate']} knows"
                yield Finding(document.at("waivers", index, "part"), message, hint)
            elif waiver["gate"] in OF_GPUS and profile is not None and is_place(waiver["part"]):
                places = profile.gpu_pci_addresses
                if places and short(waiver["part"]) not in places:
                    message = f"{profile.name} has no GPU at {waiver['part']}"
                    hint = known_are(places, short(waiver["part"]))
                    yield Finding(document.at("waivers", index, "part"), message, hint)
            try:
                date.fromisoformat(waiver["until"])
            except ValueError as error:
                yield Finding(
                    document.at("waivers", index, "until"), f"until: {error}", "a day, as 2026-12-31"
                )


def _misnamed(gate: str, part: str) -> str:
    """How a part is named for a gate of ours, where it is not named so."""
    if gate in OF_GPUS and not is_gpu(part):
        return "a GPU, by its PCI address (0000:9c:00.0) or by its UUID (GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a71)"
    if gate == "rdma_health" and not is_nic(part):
        meant = f"did you mean {found}? " if (found := meant_nic(part)) else ""
        return (
            f"{meant}a NIC, by its PCI address or its GUID (e8eb:d303:00a7:1234); one port as 0000:9c:00.0/1"
        )
    return ""


@rule("KG421", "GPUs are shared on GPU nodes of the cluster.")
def sharing_is_of_gpu_nodes(context: Context) -> Iterator[Finding]:
    """A rehearsal would play a node that is not there as one that it is not."""
    for document in context.documents.of("clusters").values():
        gpu = set(document.value["nodes"]["gpu"])
        for name in document.value.get("sharing", {}):
            if name not in gpu:
                message = f"{name} is no GPU node of this cluster"
                yield Finding(document.at("sharing", name), message, known_are(gpu, name))


@rule("KG424", "Partners are GPU nodes of the cluster.")
def partners_are_gpu_nodes(context: Context) -> Iterator[Finding]:
    """Nobody can meet a node that is not there."""
    for document in context.documents.of("clusters").values():
        gpu = set(document.value["nodes"]["gpu"])
        for index, node in enumerate(document.value.get("probe", {}).get("partners", ())):
            if node not in gpu:
                message = f"{node} is no GPU node of this cluster"
                yield Finding(document.at("probe", "partners", index), message, known_are(gpu, node))


@rule(
    "KG425",
    "What a cluster declares is declared in a way that its component's mover knows.",
    severity="warning",
)
def declared_can_move(context: Context) -> Iterator[Finding]:
    """The first upgrade that would move it is refused, and until then nobody knows."""
    for document in context.documents.of("clusters").values():
        cluster = context.matrix.clusters.get(document.name)
        for declared in cluster.declarations if cluster else ():
            component = context.matrix.components.get(declared.component)
            found = obstacle(component, cluster) if component and component.mover else None
            if found:
                at = document.at("declare", declared.component, "path")
                yield Finding(at, f"{declared.component}: {found.why}", found.change)
