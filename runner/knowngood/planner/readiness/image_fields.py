"""Whether a change of a version changes what is pulled: version, repository and image belong together. Pure.

The operators compose `repository/image:version`. With a digest or a tag in one of the first two, or with one of them
missing (on OLM the operator's own digest is taken then, or `/:version`), another version moves nothing, or breaks it.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from knowngood.model.field import FieldChange
from knowngood.model.finding import Finding, refused, unknown
from knowngood.planner.readiness.declaring import Object, name_of

COMPOSING = ("nvidia.com/", "mellanox.com/")
"""API groups whose operators compose an image from repository, image and version."""
VERSION = "version"


def against_change(obj: Object, change: FieldChange, along: Collection[str] = ()) -> Iterator[Finding]:
    """Why a planned change of a version would not bring that version, by the fields beside it in the live object.

    `along`: paths of the object that are changed in the same commit.
    """
    where = name_of(obj)
    *parents, last = change.path.split(".")
    section: Any = obj
    for part in parents:
        section = section.get(part) if isinstance(section, Mapping) else None
    if last != VERSION or not isinstance(section, Mapping):
        return
    at = ".".join(parents)
    if section.get("enabled") is False:
        what = f"{at}.enabled is false: its operator brings nothing, so {change.path} moves nothing"
        hint = "what the nodes run came with them or from another object: take it out of the cluster file's declare"
        yield refused(where, what, hint)
        return
    if section.get("usePrecompiled") is True and "." in change.after:
        what = f"{at}.usePrecompiled is true: images are named by branch and kernel, and {change.after} is no branch"
        yield refused(
            where, what, "say under texts which branch each version is written as: docs/runbooks/gitops.md"
        )
        return
    fields = {key: str(section.get(key) or "") for key in ("repository", "image")}
    if not any(fields.values()) and not str(obj.get("apiVersion")).startswith(COMPOSING):
        what = f"nothing beside {change.path} says which image it stands for"
        yield unknown(where, what, "knowngood can't tell whether the version alone moves it")
        return
    missing = [f"{at}.{key}" for key, value in fields.items() if not value]
    if missing:
        what = f"{change.path} is given without {' and '.join(missing)}: no image can be composed of it"
        yield refused(where, what, "write repository, image and version out, all three")
    for key, value in fields.items():
        if f"{at}.{key}" not in along and (why := _pinned(value, change)):
            what = f"{at}.{key} {value} {why}: {change.path} {change.after} alone would not move it"
            yield refused(where, what, f"{at}.{key} must move along, or stop naming a release")


def _pinned(value: str, change: FieldChange) -> str:
    """How a repository or an image holds a release fast; "" where it does not."""
    if "@" in value:
        return "names a digest"
    if ":" in value.rpartition("/")[2]:
        return "names a tag"
    present = re.escape(change.before)
    if change.before and re.search(rf"(?<![0-9A-Za-z.]){present}(?![0-9A-Za-z.])", value):
        return f"belongs to {change.before}"
    return ""
