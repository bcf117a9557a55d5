"""How fast each MIG instance is, against its own baseline and against all of its profile. Pure.

An instance is known by its UUID. Where the layout was made anew and the UUID is another one, the baseline is the
median of the same profile on this node. A profile's floors are those of a whole machine, and no instance's.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from knowngood.gate import speeds
from knowngood.gate.speeds import Figure, Number
from knowngood.model.values import Values


def layout(measured: Values) -> Values:
    """How the node was parted when it was measured: profile -> instances, and "whole" -> GPUs; empty: not at all."""
    found = measured.get("layout")
    return found if isinstance(found, Mapping) else {}


def has_whole(measured: Values) -> bool:
    """Whether whole GPUs were measured."""
    return not layout(measured) or bool(layout(measured).get("whole"))


def slow(
    figures: Sequence[Figure],
    now: Values,
    limits: Values,
    before: Values | None,
    pool: Sequence[Values],
    number: Number,
) -> Iterator[str]:
    """Instances that are too slow, in words; `pool`: what all nodes measured, this one among them."""
    mine = [replace(figure, limit="") for figure in figures if not figure.several]
    for uuid, one in _slices(now).items():
        profile = one.get("profile")
        alike = [s for node in pool for s in _slices(node).values() if s.get("profile") == profile]
        for words in speeds.slow(
            mine, one, limits, _own(before, uuid, profile, mine), alike, number, "instances"
        ):
            yield f"{uuid} ({profile}): {words}"


def _own(before: Values | None, uuid: str, profile: object, figures: Sequence[Figure]) -> Values | None:
    if before is None:
        return None
    slices = _slices(before)
    if uuid in slices:
        return slices[uuid]
    alike = [one for one in slices.values() if one.get("profile") == profile]
    values = {f.name: [one[f.name] for one in alike if speeds.is_number(one.get(f.name))] for f in figures}
    return {name: statistics.median(some) for name, some in values.items() if some}


def _slices(measured: Values) -> Mapping[str, Values]:
    found = measured.get("slices")
    return found if isinstance(found, Mapping) else {}
