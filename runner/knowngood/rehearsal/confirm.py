"""Whether the oracle agrees: judges its snapshots and history, which were taken outside the program. Pure.

A snapshot is `twin oracle snapshot`'s JSON, a history `twin oracle history --json`'s. Each function returns what
contradicts the claim, one line each; empty means confirmed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from knowngood.model.names import DOMAIN
from knowngood.model.values import Values

MOVES = ("module", "userSpace", "driverState", "operands", "labels", "annotations")
"""What of a node a move of the driver may change."""


def done(before: Values, after: Values, nodes: Collection[str], version: str) -> tuple[str, ...]:
    """`done`: each of `nodes` runs `version`, nothing of ours is left, and nothing else of any node has changed."""
    found = list(left_over(after))
    for name, now in after["nodes"].items():
        was = before["nodes"].get(name, {})
        if name in nodes and now.get("module") != version:
            found.append(f"{name} runs {now.get('module') or 'no driver'}, not {version}")
        for key in sorted({*was, *now}):
            moved = name in nodes and key in MOVES
            if not moved and was.get(key) != now.get(key):
                found.append(f"{name}: {key} was {was.get(key)}, is {now.get(key)}")
    return tuple(found)


def restored(differences: Sequence[str], after: Values) -> tuple[str, ...]:
    """`restored`: nothing differs from before, and nothing of ours is left."""
    return (*differences, *left_over(after))


def left_over(snapshot: Values) -> tuple[str, ...]:
    """Jobs, pods, taints and claims of ours."""
    found = [f"{kind} {name} is left" for kind, names in snapshot["ours"].items() for name in names]
    for name, node in snapshot["nodes"].items():
        found += [f"{name}: taint {t} is left" for t in node.get("taints", ()) if t.startswith(DOMAIN)]
        found += [
            f"{name}: annotation {a} is left" for a in node.get("annotations", {}) if a.startswith(DOMAIN)
        ]
    return tuple(found)


def unproven(history: Values, version: str, allowed: Collection[str]) -> tuple[str, ...]:
    """Nodes outside `allowed` (the canary ring) that ever ran `version`."""
    return tuple(
        f"{name} ran {version}, which nothing had proven"
        for name, row in history["nodes"].items()
        if name not in allowed and any(d["version"] == version for d in row["drivers"])
    )


def lived(history: Values, modules: Sequence[str], nodes: Collection[str]) -> tuple[str, ...]:
    """What each of `nodes` lived through, in words: its drains, and the versions of each module in their order."""
    return tuple(
        f"{name}: drained {_often(history['nodes'][name]['drains'])}"
        + "".join(f"; {module} {' → '.join(_versions(history, name, module))}" for module in modules)
        for name in nodes
    )


def together(history: Values, modules: Sequence[str], nodes: Collection[str]) -> tuple[str, ...]:
    """Nodes on which `modules` did not come with one drain and go back with it: a version, another, the first again."""
    found = []
    for name in nodes:
        if (drains := history["nodes"][name]["drains"]) != 1:
            found.append(f"{name} was drained {_often(drains)}, not once")
        for module in modules:
            versions = _versions(history, name, module)
            if len(versions) != 3 or versions[0] != versions[2] or versions[0] == versions[1]:
                found.append(f"{name}: {module} did not move once and back: {', '.join(versions)}")
    return tuple(found)


def _versions(history: Values, node: str, module: str) -> list[str]:
    """What a node had loaded of a module, in order."""
    row = history["nodes"][node]
    times = row["drivers"] if module == "nvidia" else row["modules"].get(module, ())
    return [time["version"] for time in times]


def _often(count: int) -> str:
    return "once" if count == 1 else f"{count} times"
