"""Which versions run, each with where it was seen, and which release of the matrix that is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from knowngood.model.errors import UsageError
from knowngood.model.matrix import Component, Matrix, Release
from knowngood.model.mover import SYSTEMS
from knowngood.planner.discover.seen import Seen, Told, Version, labels_of, name_of, space_of
from knowngood.planner.moving import STARTING, SUBSCRIPTION, version_of
from knowngood.planner.version import is_whole, runs

IMAGE = re.compile(
    r"(?P<kind>Deployment|DaemonSet|StatefulSet) (?P<name>[\w.-]+)(?: in (?P<space>[\w.-]+))?, image tag"
)
"""How a component file says that an image's tag is the version."""
KERNEL = "rhcos-kernel"


def versions(seen: Seen, told: Told, matrix: Matrix, gpu: Sequence[str]) -> None:
    """Every version that something shows; one that nodes do not share is a question."""
    for component in matrix.components.values():
        of_nodes = (_known(v, component, matrix) for v in _of_nodes(seen, component, gpu))
        found = list(_of_cluster(seen, component)) or list(of_nodes)
        kept = {v.text: v for v in found}
        if len(kept) == 1:
            told.versions[component.name] = next(iter(kept.values()))
        elif kept:
            each = "; ".join(f"{v.text} ({v.how})" for v in kept.values())
            told.ask("release", f"{component.name}: not one version: {each}")


def _known(version: Version, component: Component, matrix: Matrix) -> Version:
    """The package that a module's own version stands for, where the matrix knows exactly one such."""
    edges = matrix.edges.get(component.name)
    rows = {r.components[component.name] for r in matrix.releases.values() if component.name in r.components}
    known = {*rows, *(edges.versions if edges else ())}
    same = {k for k in known if _same(matrix, component.name, k, version.text)}
    if len(same) != 1 or version.text in same:
        return version
    return Version(same.pop(), f"{version.how}: {version.text}")


def _of_cluster(seen: Seen, component: Component) -> Iterator[Version]:
    if component.name == "openshift":
        yield from _openshift(seen)
    yield from _csv(seen, component)
    for reading in component.readings:
        match = IMAGE.match(reading.what) if reading.of == "running" and reading.via == "image" else None
        if match:
            yield from _image(seen, component, match)


def _openshift(seen: Seen) -> Iterator[Version]:
    for obj in seen.of("ClusterVersion"):
        history = (obj.get("status") or {}).get("history") or ()
        done = next((h for h in history if h.get("state") == "Completed"), None)
        if done and "okd" not in str(done.get("version")):
            yield Version(str(done["version"]), "ClusterVersion, newest Completed entry")


def _csv(seen: Seen, component: Component) -> Iterator[Version]:
    mover = component.mover
    template = (mover.fields.get(SUBSCRIPTION, {}) if mover else {}).get(STARTING)
    if mover is None or not template:
        return
    for csv in seen.of("ClusterServiceVersion"):
        if (csv.get("status") or {}).get("reason") == "Copied":
            continue
        try:
            text = version_of(mover, SUBSCRIPTION, {STARTING: name_of(csv)})
        except UsageError:
            continue
        if text and _whole(component, text):
            yield Version(text, f"ClusterServiceVersion {space_of(csv)}/{name_of(csv)}")


def _image(seen: Seen, component: Component, match: re.Match[str]) -> Iterator[Version]:
    for obj in seen.of(match["kind"]):
        if name_of(obj) != match["name"] or (match["space"] and space_of(obj) != match["space"]):
            continue
        for container in obj["spec"]["template"]["spec"].get("containers") or ():
            tag = str(container.get("image") or "").partition("@")[0].rpartition("/")[2].partition(":")[2]
            text = tag.removeprefix("v")
            if text and _whole(component, text):
                yield Version(text, f"image of {match['kind']} {space_of(obj)}/{match['name']}")
            return


def _of_nodes(seen: Seen, component: Component, gpu: Sequence[str]) -> Iterator[Version]:
    nodes = {name_of(n): n for n in seen.of("Node")}
    for name in gpu:
        info = (nodes[name].get("status") or {}).get("nodeInfo") or {} if name in nodes else {}
        if component.mover is not None and component.mover.label is not None:
            # A node without the label has what its operator makes of that: no release need name it.
            label = component.mover.label.name
            if name in nodes and (text := labels_of(nodes[name]).get(label)):
                yield Version(text, f"label {label}")
        elif component.name == KERNEL:
            if text := str(info.get("kernelVersion") or ""):
                yield Version(re.sub(r"\.(x86_64|aarch64)(?=\+|$)", "", text), "nodeInfo of the GPU nodes")
        elif component.name == "kubernetes" and not seen.of("ClusterVersion"):
            if match := re.fullmatch(r"v?(\d+\.\d+\.\d+\S*)", str(info.get("kubeletVersion") or "")):
                yield Version(match[1], "kubelets of the GPU nodes")
        elif component.mover is not None and component.mover.kind in SYSTEMS:
            if match := re.fullmatch(r"Talos \(v?(\d+\.\d+\.\d+)\)", str(info.get("osImage") or "")):
                yield Version(match[1], "osImage of the GPU nodes")
        else:
            text = seen.machines[name].versions.get(component.name, "") if name in seen.machines else ""
            if text and _whole(component, text):
                yield Version(component.reports.get(text, text), "read on the GPU nodes")


def _whole(component: Component, text: str) -> bool:
    try:
        return is_whole(component.scheme, text)
    except ValueError:
        return False


def release(seen_of: Seen, told: Told, matrix: Matrix, profile: str) -> None:
    """The release of which nothing that was seen is otherwise; a question where several, or none, are so.

    Half of it must have been read: else what tells it from another may be what nobody could read.
    """
    seen = {name: v.text for name, v in told.versions.items()}
    rows = [r for r in matrix.releases.values() if not profile or profile in r.profiles]
    if seen_of.read("ClusterVersion") and seen_of.of("Node"):
        is_openshift = bool(seen_of.of("ClusterVersion"))
        rows = [r for r in rows if ("openshift" in r.components) is is_openshift]
    fitting = [r for r in rows if _is(matrix, r, seen)]
    known = {r.name: [c for c in r.components if c in seen] for r in fitting}
    # What a release names and nothing shows speaks against it, as what runs speaks for it.
    weight = {
        r.name: (2 * len(known[r.name]) - len(r.components), len(known[r.name]) - len(r.components))
        for r in fitting
        if len(known[r.name]) >= LEAST
    }
    fitting = [r for r in fitting if r.name in weight]
    best = [r for r in fitting if weight[r.name] == max(weight.values())]
    if len(best) == 1 and weight[best[0].name][0] >= 0:
        (one,) = best
        unread = [c for c in one.components if c not in seen]
        more = f"; not read: {', '.join(unread)}" if unread else ""
        count = len(known[one.name])
        told.tell("release", one.name, f"{count} of its {len(one.components)} components run{more}")
    elif fitting:
        names = ", ".join(sorted(r.name for r in (best if len(best) > 1 else fitting)))
        told.ask("release", f"which release runs: what was read fits {names}")
    else:
        told.ask("release", f"which release runs: none of the matrix fits{_near(matrix, rows, seen)}")


LEAST = 2
"""Components that must be known of a release, or anything would fit it."""


def _is(matrix: Matrix, row: Release, seen: Mapping[str, str]) -> bool:
    return all(
        _same(matrix, name, version, seen[name]) for name, version in row.components.items() if name in seen
    )


def _same(matrix: Matrix, name: str, declared: str, running: str) -> bool:
    component = matrix.components[name]
    written = component.mover.fields.values() if component.mover else ()
    # An image is tagged as the field is written: of 4.6.0-4.8.3 that is 4.6.0-4.8.3-distroless.
    if running in {text.replace("{version}", declared) for fields in written for text in fields.values()}:
        return True
    try:
        return runs(component.scheme, declared, running)
    except ValueError:
        return False


def _near(matrix: Matrix, rows: Sequence[Release], seen: Mapping[str, str]) -> str:
    """What is otherwise in the release that comes nearest."""

    def other(row: Release) -> list[str]:
        pairs = ((n, v) for n, v in row.components.items() if n in seen)
        return [f"{n} {seen[n]} (it has {v})" for n, v in pairs if not _same(matrix, n, v, seen[n])]

    if not rows or not seen:
        return " (no version was read)" if not seen else " this hardware"
    nearest = min(rows, key=lambda r: (len(other(r)), r.name))
    if not other(nearest):
        return f" by enough of what was read ({', '.join(seen)})"
    return f"; the nearest is {nearest.name} but for {', '.join(other(nearest)[:5])}"
