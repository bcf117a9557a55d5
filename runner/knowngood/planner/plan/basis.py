"""Whether what a kept plan rests on is still so. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from knowngood.model.jsonable import to_json
from knowngood.model.plan import Plan
from knowngood.model.plan_file import Basis, PlanFile, Running
from knowngood.planner.digest import differences

FREE = ("matrix_commit", "cluster_digest", "warnings")
"""Parts of a plan that may differ: the first two are compared by what the matrix's files say, the last only tells."""
SHOWN = 6
"""So many files are named, then how many more."""


def changes(kept: PlanFile, plan: Plan, now: Basis, version: str) -> Iterator[str]:
    """What is not as it was when the plan was made, a line each; nothing where all is.

    `plan` is made anew, with the same wishes, `now` is what it rests on, `version` of the knowngood that made it.
    """
    if kept.version != version:
        yield f"it was made by knowngood {kept.version}, this is {version}"
    before = kept.rests_on
    yield from _files(before.matrix, now.matrix)
    if before.asked and now.identity != before.identity:
        yield "the kubeconfig reaches another cluster than the one that was asked"
    if before.asked:
        yield from _nodes(before.nodes, now.nodes)
    was, is_ = (_indexed(_binding(one)) for one in (kept.plan, plan))
    for line in list(differences(was, is_))[:SHOWN]:
        yield f"the plan would be another: {line}"


def unread(kept: PlanFile, now: Basis) -> tuple[str, ...]:
    """Nodes that told what they run when the plan was made, and now do not, or not of all of it: nobody can tell."""
    before = kept.rests_on
    return tuple(_silent(before.nodes, now.nodes)) if before.asked else ()


def _silent(before: Running, now: Running) -> Iterator[str]:
    for node, was in before.items():
        here = now.get(node)
        lost = sorted(was.keys() - here.keys()) if here is not None else []
        if lost:
            yield f"{node} (of {', '.join(lost)})" if here else node


def _binding(plan: Plan) -> dict[str, Any]:
    return {name: value for name, value in to_json(plan).items() if name not in FREE}


def _indexed(value: Any) -> Any:
    """Lists as maps by place, so that a difference says where."""
    if isinstance(value, Mapping):
        return {name: _indexed(one) for name, one in value.items()}
    if isinstance(value, list):
        return {str(place): _indexed(one) for place, one in enumerate(value)}
    return value


def _files(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    named = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
    for name in named[:SHOWN]:
        how = "is new" if name not in before else "is gone" if name not in now else "was changed"
        yield f"{name} {how}"
    if len(named) > SHOWN:
        yield f"{len(named) - SHOWN} more files of the matrix were changed"


def _nodes(before: Running, now: Running) -> Iterator[str]:
    for node in sorted({*before, *now}):
        was, is_ = before.get(node), now.get(node)
        if was is None or is_ is None:
            yield f"{node} is {'new' if was is None else 'gone'}"
        elif was and is_:
            told = {component: version for component, version in was.items() if component in is_}
            yield from (f"{node}: {line}" for line in differences(told, is_))
