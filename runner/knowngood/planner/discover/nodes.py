"""Nodes by role, their rings, and what hardware they are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from knowngood.model.matrix import Matrix, Profile
from knowngood.model.names import RING_LABEL
from knowngood.model.values import Object
from knowngood.planner.discover.seen import Machine, Seen, Told, labels_of, name_of
from knowngood.planner.readiness.selecting import owners
from knowngood.planner.roles import role
from knowngood.planner.sharing import CONFIG as MIG
from knowngood.planner.sharing import REPLICAS

KEYS = {"control-plane": "controlPlane", "worker": "cpu", "gpu": "gpu", "virtual": "virtual"}
GPU_PRODUCT, GPU_COUNT = "nvidia.com/gpu.product", "nvidia.com/gpu.count"
WAY = "rings"
NOT_ASKED = Machine(trouble="nothing shows it from inside")


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key by which node-2 comes before node-10."""
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in re.split(r"(\d+)", name) if p]


def roles(seen: Seen, told: Told) -> tuple[str, ...]:
    """Every node by its role; the GPU nodes."""
    if not seen.read("Node"):
        told.ask("nodes", f"which nodes there are: {seen.unread['Node']}")
        return ()
    found: dict[str, list[str]] = {}
    for node in sorted(seen.of("Node"), key=lambda n: natural(name_of(n))):
        found.setdefault(KEYS[role(node)], []).append(name_of(node))
    told.tell("nodes", {k: found[k] for k in KEYS.values() if k in found}, "labels of the nodes")
    if "gpu" not in found:
        told.ask("nodes", "which nodes have GPUs: none has a label that says so (is NFD there?)")
    return tuple(found.get("gpu", ()))


def sharing(seen: Seen, told: Told) -> None:
    """Nodes whose GPUs are offered in parts or several times, by their labels."""
    found: dict[str, Object] = {}
    for node in sorted(seen.of("Node"), key=lambda n: natural(name_of(n))):
        labels = labels_of(node)
        parts: Object = {}
        if re.fullmatch(r"all-[123467]g\.\d{1,3}gb", labels.get(MIG, "")):
            parts["mig"] = labels[MIG]
        if labels.get(REPLICAS, "").isdecimal() and int(labels[REPLICAS]) > 1:
            parts["replicas"] = int(labels[REPLICAS])
        if parts:
            found[name_of(node)] = parts
    if found:
        told.tell("sharing", found, f"labels {MIG} and {REPLICAS}")


def rings(seen: Seen, told: Told, gpu: Sequence[str]) -> None:
    """The rings that objects of the cluster make, else those that labels name; else what stands in their way."""
    labels = {name_of(n): labels_of(n) for n in seen.of("Node")}
    for kind in ("NVIDIADriver", "NicNodePolicy"):
        objects = seen.of(kind)  # one without a nodeSelector has every node, and parts none if it is alone
        parted = any((o.get("spec") or {}).get("nodeSelector") for o in objects)
        had = {node: owners(labels[node], objects) for node in gpu if parted}
        if had and all(len(names) == 1 for names in had.values()):
            _ringed(told, {n: names[0] for n, names in had.items()}, f"nodeSelectors of {kind} objects")
            return
        for node, names in had.items():
            if len(names) != 1:
                what = f"{kind} {' and '.join(names)} all select it" if names else f"no {kind} selects it"
                told.ask(WAY, f"{node}: {what}; a ring is the one object that selects its nodes")
        if had:
            return
    if gpu and all(RING_LABEL in labels[node] for node in gpu):
        _ringed(told, {n: labels[n][RING_LABEL] for n in gpu}, f"labels {RING_LABEL} of the nodes")
    elif gpu:
        told.ask(WAY, f"which nodes go first: nothing parts them yet; label each with {RING_LABEL}")


def _ringed(told: Told, of: Mapping[str, str], how: str) -> None:
    names = sorted(set(of.values()), key=natural)
    rows = [{"name": n, "nodes": [node for node, ring in of.items() if ring == n], "batch": 1} for n in names]
    told.tell(WAY, rows, how)
    told.ask(WAY, "batch: how many nodes of a ring may be out at the same time; 1 is the most careful")
    told.ask(WAY, f"their order: the first is the canary, here {names[0]} by its name")


def profile(seen: Seen, told: Told, gpu: Sequence[str], matrix: Matrix) -> None:
    """The one profile that all GPU nodes fit, by DMI product and PCI ids; a draft where none does."""
    machines = {node: seen.machines.get(node, NOT_ASKED) for node in gpu}
    unread = {node: m.trouble or "it shows no GPU" for node, m in machines.items() if _kind(m) is None}
    kinds = Counter(kind for m in machines.values() if (kind := _kind(m)) is not None)
    if not kinds:
        which = next((f"{node}: {why}" for node, why in unread.items()), "there is no GPU node that says it")
        told.ask("profile", f"which hardware it is; {which}{_by_labels(seen, gpu)}")
        return
    fitting = {kind: {p.name for p in matrix.profiles.values() if _fits(p, kind)} for kind in kinds}
    names = set.union(*fitting.values())
    words = "; ".join(f"{count} of {_words(kind)}" for kind, count in kinds.items())
    if misfits := [kind for kind, found in fitting.items() if not found]:
        told.ask(
            "profile", f"no profile fits {' nor '.join(map(_words, misfits))}: see the draft beside this file"
        )
        told.draft = _draft(misfits[0])
    elif len(names) > 1:
        told.ask("profile", f"one of {', '.join(sorted(names))}: the nodes are of several kinds ({words})")
    else:
        told.tell("profile", names.pop(), f"DMI and PCI ids: {words}")
        if unread:
            told.ask("profile", f"do these fit it too: {', '.join(unread)} could not be read")


Kind = tuple[str, str, int, int]
"""Product, GPU's PCI id, GPUs and NICs of a machine."""


def _kind(machine: Machine) -> Kind | None:
    if not machine.product or len(machine.gpus) != 1:
        return None
    ((pci, count),) = machine.gpus.items()
    return machine.product, pci, count, sum(machine.nics.values())


def _fits(profile: Profile, kind: Kind) -> bool:
    product, pci, gpus, _ = kind
    same = profile.product.casefold() == product.casefold()
    return same and profile.gpu_pci_id.casefold() == pci.casefold() and profile.gpus == gpus


def _words(kind: Kind) -> str:
    product, pci, gpus, nics = kind
    return f"{product} with {gpus} GPUs {pci} and {nics} NICs"


def _by_labels(seen: Seen, gpu: Sequence[str]) -> str:
    found = {_labelled(labels_of(n)) for n in seen.of("Node") if name_of(n) in gpu} - {""}
    return f"; the nodes' labels say {', '.join(sorted(found))}" if found else ""


def _labelled(labels: Mapping[str, str]) -> str:
    both = GPU_PRODUCT in labels and GPU_COUNT in labels
    return f"{labels[GPU_COUNT]} of {labels[GPU_PRODUCT]}" if both else ""


def _draft(kind: Kind) -> Object:
    product, pci, gpus, nics = kind
    return {"product": product, "gpus": gpus, "gpuPciId": pci, "nics": nics}
