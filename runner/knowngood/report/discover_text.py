"""One screen of what `discover` found, what it could not read, and what is left to a human."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from knowngood.model.text import Page, page
from knowngood.model.values import Object
from knowngood.planner.discover.seen import Seen, Told
from knowngood.report.columns import wrapped

SCHEMA = 1
SHOWN = 6  # items of a list


def discover_text(told: Told, seen: Seen, differences: Sequence[str] | None, width: int) -> Page:
    """`differences`: to the file that is there already, None where there was none."""
    rows = [row for key, value in told.values.items() for row in _rows(key, value)]
    versions = ", ".join(f"{n} {v.text}" for n, v in sorted(told.versions.items()))
    rows.append(("running", versions or "no version was read"))
    if catalogs := [
        f"{o['metadata']['namespace']}/{o['metadata']['name']}" for o in seen.of("CatalogSource")
    ]:
        rows.append(("catalogs", ", ".join(catalogs)))
    lines = ["found", *wrapped(rows, "  ", width)]
    unread = [*seen.unread.items(), *((n, m.trouble) for n, m in seen.machines.items() if m.trouble)]
    if unread:
        lines += ["", "could not be read", *wrapped(_grouped(unread), "  ", width)]
    asked = [(key, question) for key, questions in told.questions.items() for question in questions]
    lines += ["", "left to you", *wrapped(asked, "  ", width)]
    if differences is not None:
        lines += ["", "otherwise than the file" if differences else "the file says what the cluster shows"]
        lines += [line for text in differences for line in wrapped([("", text)], "", width)]
    return page(lines)


def _grouped(unread: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """One line a reason: what is forbidden once is forbidden often."""
    whys = dict.fromkeys(why for _, why in unread)
    return [(_some([what for what, other in unread if other == why]), why) for why in whys]


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _rows(key: str, value: Any) -> list[tuple[str, str]]:
    """A key of the cluster file: a line, or one for each component."""
    if key != "declare":
        return [(key, _short(key, value))]
    places = [f"{name}: {place['file']} {place['path']}" for name, place in value.items()]
    return [(key if number == 0 else "", text) for number, text in enumerate(places)]


def _short(key: str, value: Any) -> str:
    """A key of the cluster file in one line."""
    if key == "nodes":
        return "; ".join(f"{len(names)} {role}: {_some(names)}" for role, names in value.items())
    if key in {"rings", "tenants"}:
        return "; ".join(f"{v['name']}: {_some(v.get('nodes') or v['namespaces'])}" for v in value)
    if key == "gitops":
        return f"{value['repo']} {value['branch']}: {_some([a['name'] for a in value['applications']])}"
    if isinstance(value, Mapping):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    return str(value)


def discover_json(told: Told, seen: Seen, differences: Sequence[str] | None) -> Object:
    """The same as values (the schema `discover`)."""
    return {
        "schema": SCHEMA,
        "cluster": told.values,
        "seen": told.how,
        "versions": {n: {"version": v.text, "how": v.how} for n, v in sorted(told.versions.items())},
        "draft": told.draft,
        "questions": told.questions,
        "unread": {**seen.unread, **{n: m.trouble for n, m in seen.machines.items() if m.trouble}},
        "differences": None if differences is None else list(differences),
    }
