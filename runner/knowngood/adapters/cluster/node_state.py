"""Measure one node: its object, its pods, what exec in the driver pod prints, and the kernel journal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from knowngood.adapters.cluster import actors, facts, journals, readouts
from knowngood.adapters.cluster.facts import DRIVER_CONTAINER
from knowngood.adapters.cluster.kernel_files import NoUptimeError
from knowngood.adapters.cluster.readouts import Lines
from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.kubernetes.client import ApiError, Kube, Object
from knowngood.model.errors import Unreachable
from knowngood.model.mover import SYSTEMS, Firmware, Mark, MoverSpec, Seen, Specs
from knowngood.model.node import NodeState
from knowngood.model.values import Values

PATIENCE = 5.0  # seconds for one node's kubelet; the others must not wait for it
TAIL = 1000
"""The newest entries of a journal, among which there is one of the kernel as a rule."""
BY_BOOT = "machine-config"
"""The class of what comes to a node with a boot."""
PARTED = "sriov"
"""The class of what parts a NIC's ports."""
SUCCESS = "success"
"""What who acts on a label says when it has done so; it may be said of the label before."""
CORDON_TAINT = "node.kubernetes.io/unschedulable"
"""A controller's shadow of the cordon; it comes and goes a moment later, so it is no fact of its own."""


Moment = tuple[str, float]
"""A boot and seconds since it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How nodes are read. `journal`: the kernel lines of a node's boot that match, or more of them, as JSON lines. It
    is told the node, the words, and boot id and uptime at which its files were read, None where they were not.

    `ports`: RDMA ports are read, too. `firmware`: what a node's BMC says that runs, None where nobody can ask it; it is
    asked only where firmware moves. Raises Unreachable.
    """

    kube: Kube
    journal: Callable[[str, str, Moment | None], str]
    ports: bool = False
    firmware: Callable[[str], Mapping[Firmware, str]] | None = None


def reading(kube: Kube, firmware: Callable[[str], Mapping[Firmware, str]] | None = None) -> Reading:
    """Of the kernel log only when modules were loaded."""

    def journal(node: str, grep: str, moment: Moment | None) -> str:
        return facts.journal(kube, node, grep=grep, busy=PATIENCE, up=moment[1] if moment else None)

    return Reading(kube, journal, firmware=firmware)


def known(node: Object) -> NodeState:
    """A node as the API server knows it: the node itself is not asked."""
    name, common = str(node["metadata"]["name"]), _of_object(node)
    if not facts.node_ready(node):
        return NodeState(name, reachable=False, trouble="the node is not Ready", **common)
    info = node["status"].get("nodeInfo") or {}
    versions = {"rhcos-kernel": str(info.get("kernelVersion") or ""), **readouts.of_kubelet(info)}
    boot = str(info.get("bootID") or "")
    return NodeState(name, reachable=True, ready=True, boot_id=boot, versions=versions, **common)


def measure(by: Reading, node: Object, pods: Sequence[Object], specs: Specs, *, gpu: bool) -> NodeState:
    """One node now. `pods` are the GPU operator's on it; without GPUs the node object is all there is to read.

    `specs`: of what moves, and what proves its arrival.
    """
    if not gpu or not facts.node_ready(node):
        return known(node)
    kube, name, common = by.kube, str(node["metadata"]["name"]), _of_object(node)
    operands = {_daemonset(p): p for p in pods if _daemonset(p) in facts.OPERANDS}
    states = {d: facts.pod_state(p) for d, p in sorted(operands.items())}
    images = {d: facts.running_image(p) for d, p in sorted(operands.items())}
    alive = [p for p in pods if not p["metadata"].get("deletionTimestamp")]
    driver = next((p for p in alive if facts.is_driver_pod(p)), None)
    if driver is not None:
        states["nvidia-driver"] = facts.pod_state(driver)
        images["nvidia-driver"] = facts.running_image(driver, DRIVER_CONTAINER)
    common |= {"operands": states, "images": images}
    try:
        read, printed = _read(by, alive, specs)
        inventory = readouts.inventory(read)
        labelled = of_labels(node, specs, inventory.get("mig"))
        flashed = {**of_bmc(by, name, specs), **of_system(node, specs)}
        marks = _marks(by, name, specs, read, {**flashed, **labelled})
    except (ApiError, Unreachable) as error:
        seen = _by_journal(kube, name, specs)
        return NodeState(name, reachable=False, ready=True, trouble=str(error), **seen, **common)
    return NodeState(
        name,
        reachable=True,
        ready=True,
        boot_id=readouts.first(read, readouts.BOOT_ID),
        uptime_seconds=_number(readouts.first(read, readouts.UPTIME)),
        marks={**of_boot(node, specs), **marks},
        versions={
            **flashed,  # what the host itself tells of it goes before
            **readouts.versions(read, printed),
            **_shown(read, specs),
            **_told(read, node),
            **labelled,
            **_parted(inventory, specs),
        },
        gpus=readouts.gpus(read),
        inventory=inventory,
        facts=readouts.machine(read),
        rdma=readouts.rdma(read) if by.ports else {},
        **common,
    )


def loaded(
    by: Reading, name: str, specs: Specs, pods: Sequence[Object] = (), node: Object | None = None
) -> NodeState:
    """A node's marks, as its kernel log tells them; `pods`: asked for its files where the log does not tell all.

    `node`: tells of what comes with a boot or by its labels.
    """
    try:
        booted = of_boot(node, specs) if node else {}
        labelled = {**of_labels(node, specs), **of_system(node, specs)} if node else {}
        labelled = {**of_bmc(by, name, specs), **labelled}
        if not any(spec.shows for spec in specs.values()):
            with suppress(NoUptimeError):  # the files tell it
                return arrived(name, {**booted, **_marks(by, name, specs, {}, labelled)})
        alive = [p for p in pods if not p["metadata"].get("deletionTimestamp")]
        read = _read(by, alive, specs)[0]
        return arrived(name, {**booted, **_marks(by, name, specs, read, labelled)})
    except (ApiError, Unreachable) as error:
        return NodeState(name, reachable=False, trouble=str(error))


def arrived(name: str, marks: Mapping[str, Mark]) -> NodeState:
    """A node of which only marks are known."""
    found = NodeState(name, reachable=True, marks=marks)
    boot = found.newest.boot_id if found.newest else ""
    return replace(found, boot_id=boot, versions={c: mark.version for c, mark in marks.items()})


def _marks(by: Reading, name: str, specs: Specs, read: Lines, labelled: Mapping[str, str]) -> dict[str, Mark]:
    proofs = [proof for spec in specs.values() if (proof := facts.proof_of(spec))]
    if not proofs:
        return {}
    words = "|".join(dict.fromkeys(proof.log for proof in proofs))
    boot, up = readouts.first(read, readouts.BOOT_ID), _number(readouts.first(read, readouts.UPTIME))
    return marks_in(
        facts.kernel_lines(name, by.journal(name, words, (boot, up) if boot and up is not None else None)),
        specs,
        read,
        labelled,
    )


def of_labels(node: Object, specs: Specs, instances: Mapping[str, str] | None = None) -> dict[str, str]:
    """What the node's labels ask for, where who acts on them is at rest with it; that it came is for others to show.

    `instances`: the driver's MIG instances; where there are any, a node without a label has not what that stands for.
    """
    labels = node["metadata"].get("labels") or {}
    found: dict[str, str] = {}
    for component, spec in specs.items():
        if spec.label is None:
            continue
        value, parted = str(labels.get(spec.label.name) or ""), spec.label.seen is Seen.PARTED
        if not value and not (parted and any((instances or {}).values())):
            value = spec.label.none
        elif spec.label.state and labels.get(spec.label.state) != SUCCESS:
            value = ""
        found |= {component: value} if value else {}
    return found


def of_bmc(by: Reading, name: str, specs: Specs) -> dict[str, str]:
    """Which firmware a node's BMC says that runs, by component; of what moves only. Raises Unreachable."""
    whose = {component: spec.firmware for component, spec in specs.items() if spec.firmware}
    if not whose or by.firmware is None:
        return {}
    told = by.firmware(name)
    return {component: told[of] for component, of in whose.items() if told.get(of)}


def told_by_node(spec: MoverSpec) -> bool:
    """Whether the node's own object is what tells of it."""
    return spec.kind == BY_BOOT or spec.kind in SYSTEMS


def of_system(node: Object, specs: Specs) -> dict[str, str]:
    """Which system a node's kubelet says that runs, where we bring it; of what moves only."""
    told = readouts.of_kubelet((node.get("status") or {}).get("nodeInfo") or {})
    return {name: told[name] for name, spec in specs.items() if spec.kind in SYSTEMS and name in told}


def of_boot(node: Object, specs: Specs) -> dict[str, Mark]:
    """The arrivals of what comes with a boot: the kubelet tells its kernel, and which boot it is."""
    info = (node.get("status") or {}).get("nodeInfo") or {}
    kernel, boot = str(info.get("kernelVersion") or ""), str(info.get("bootID") or "")
    if not kernel or not boot:
        return {}
    return {component: Mark(kernel, boot, 0.0) for component, spec in specs.items() if spec.kind == BY_BOOT}


def marks_in(
    lines: Sequence[Object], specs: Specs, read: Lines, labelled: Mapping[str, str] | None = None
) -> dict[str, Mark]:
    """The newest arrival of each among kernel lines; what they do not tell of it is in files that were `read`.

    What comes by a label (`labelled`: what it asks for) lasts as long as the load of the driver on which it was made.
    Firmware (`labelled`: what runs) is counted from that load, too: no line of its own tells when it came.
    """
    found = {}
    for component, spec in specs.items():
        mark = facts.last_load(lines, proof) if (proof := facts.proof_of(spec)) else None
        version = readouts.shown(read, spec.shows) if spec.shows else mark and mark.version
        if spec.on_a_load:
            version = (labelled or {}).get(component, "")
        if mark is not None and version:
            found[component] = replace(mark, version=version)
    return found


def _told(read: Lines, node: Object) -> dict[str, str]:
    """What nothing else may stand in for: a mode that is shown, and what the kubelet says of itself."""
    mode = readouts.rdma_mode(read)
    info = (node.get("status") or {}).get("nodeInfo") or {}
    return {**readouts.of_kubelet(info), **({"rdma-mode": mode} if mode else {})}


def _parted(inventory: Mapping[str, Mapping[str, str]], specs: Specs) -> dict[str, str]:
    """How many virtual functions a port has, of those that have any; several numbers equal no release's."""
    if "vfs" not in inventory:
        return {}
    counts = sorted({count for count in inventory["vfs"].values() if count != "0"}, key=int)
    return {component: ", ".join(counts) or "0" for component, spec in specs.items() if spec.kind == PARTED}


def _shown(read: Lines, specs: Specs) -> dict[str, str]:
    told = {component: readouts.shown(read, spec.shows) for component, spec in specs.items() if spec.shows}
    return {component: version for component, version in told.items() if version}


def _by_journal(kube: Kube, name: str, specs: Specs) -> Object:
    """Boot id, uptime and marks as far as the kernel journal tells them: it needs no driver pod. A file tells nothing:
    nobody knows of which boot its newest lines are.

    The uptime is that of the newest line, so that a window opened now loses no line.
    """
    words = "|".join(dict.fromkeys(spec.proof.log for spec in specs.values() if spec.proof))
    try:
        last = facts.kernel_lines(name, facts.journal(kube, name, tail=TAIL, busy=PATIENCE))
        marked = (
            facts.kernel_lines(name, facts.journal(kube, name, grep=words, busy=PATIENCE)) if words else []
        )
        if not last:  # a chatty node: the newest line that the kernel's drivers wrote
            told = facts.journal(kube, name, grep=journals.pattern(), tail=1, busy=PATIENCE)
            last = facts.kernel_lines(name, told)
        lines = [*marked, *last]
    except (ApiError, Unreachable):
        return {}
    if not lines:
        return {}
    newest = max(lines, key=lambda line: int(line.get("__MONOTONIC_TIMESTAMP") or 0))
    return {
        "boot_id": facts.dashed(str(newest.get("_BOOT_ID") or "")),
        "uptime_seconds": int(newest.get("__MONOTONIC_TIMESTAMP") or 0) / 1e6,
        "marks": marks_in(marked, specs, {}),
    }


def _of_object(node: Object) -> Object:
    labels = {str(k): str(v) for k, v in (node["metadata"].get("labels") or {}).items()}
    annotations = node["metadata"].get("annotations") or {}
    return {
        "labels": labels,
        "annotations": {k: str(v) for k, v in annotations.items() if k.startswith(actors.OTHERS_ANNOTATIONS)},
        "written": actors.written(node),
        "taints": tuple(sorted(_taint(t) for t in actors.taints(node) if t["key"] != CORDON_TAINT)),
        "unschedulable": bool((node.get("spec") or {}).get("unschedulable")),
        "allocatable": facts.extended((node.get("status") or {}).get("allocatable") or {}),
    }


def _taint(taint: Values) -> str:
    return f"{taint['key']}={taint.get('value') or ''}:{taint['effect']}"


def _read(by: Reading, pods: Sequence[Object], specs: Specs) -> tuple[dict[str, list[str]], str]:
    """What the node's files say, line by line, and all that was printed: through the first pod that answers.

    The GPU driver's pod sees the most; while it is away another driver's tells what the kernel shows.
    """
    more = readouts.files_of(specs)
    asked = readouts.command(with_ports=by.ports, more=more)
    silent: ApiError | Unreachable = Unreachable("no driver pod runs on it: its files can't be read")
    for pod, container in _sources(pods, specs):
        metadata = pod["metadata"]
        try:
            files = pod_exec.run(by.kube, metadata["namespace"], metadata["name"], container, asked)
        except (ApiError, Unreachable) as error:
            silent = error
            continue
        if files.stdout:
            return readouts.parse_grep(files.stdout), files.stdout
        silent = Unreachable(f"exec in {metadata['name']} printed nothing: {files.stderr[:200]}")
    raise silent


def _sources(pods: Sequence[Object], specs: Specs) -> Iterator[tuple[Object, str]]:
    """The pods that can be asked, with their container: the GPU driver's first, then others of what may move."""
    known = [(facts.DRIVER_LABEL, DRIVER_CONTAINER)]
    known += [(spec.pods.label, spec.pods.container) for spec in specs.values() if spec.pods]
    for label, container in dict.fromkeys(known):
        yield from ((pod, container) for pod in pods if facts.has_label(pod, label))


def _number(text: str) -> float | None:
    try:
        return float(text.split(maxsplit=1)[0])
    except (ValueError, IndexError):
        return None


def _daemonset(pod: Values) -> str:
    for owner in pod["metadata"].get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") == "DaemonSet":
            return str(owner["name"])
    return ""
