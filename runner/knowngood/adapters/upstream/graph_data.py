"""A checkout in the layout of OpenShift's graph-data repository: channels/*.yaml and blocked-edges/*.yaml.

It is somebody else's: what it says is checked, and a file that says something else than expected is refused by name.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from knowngood.adapters.processes.git_command import GitCommand, GitFailed
from knowngood.adapters.processes.git_environment import quiet_environment
from knowngood.matrix.reading import display, read_text
from knowngood.matrix.refresh import Declared, GraphData
from knowngood.matrix.yaml_text import Mapping, Node, Scalar, Sequence, at, parse
from knowngood.model.errors import DataError, Location, UsageError
from knowngood.model.values import Object
from knowngood.planner.edges.following import SEMVER
from knowngood.planner.expression import compiled
from knowngood.planner.version import is_whole

_CHANNEL = re.compile(r"(stable|fast|candidate|eus)-[0-9]{1,3}[.][0-9]{1,3}", re.ASCII)
_ALWAYS = "Always"


def read(checkout: Path, oldest: tuple[int, int] = (0, 0)) -> GraphData:
    """What the checkout says about minors from `oldest` on; UsageError names what is missing or wrong."""
    channels_folder, blocked = checkout / "channels", checkout / "blocked-edges"
    if not channels_folder.is_dir() or not blocked.is_dir():
        raise UsageError(
            "this is no checkout of the graph-data repository",
            where=display(checkout),
            hint="it holds the folders channels/ and blocked-edges/",
        )
    channels = {
        path.stem: _channel(path)
        for path in sorted(channels_folder.glob("*.yaml"))
        if _CHANNEL.fullmatch(path.stem) and _minor(path.stem.partition("-")[2]) >= oldest
    }
    if not channels:
        raise UsageError("no channel of a known minor", where=display(channels_folder), hint="see --from")
    days = _days(checkout, blocked.name)
    found = (_declared(path, oldest, days) for path in sorted(blocked.glob("*.yaml")))
    commit, date = _revision(checkout)
    return GraphData(channels, tuple(d for d in found if d is not None), commit, date)


def _channel(path: Path) -> tuple[str, ...]:
    value, where = _value(path)
    versions = value.get("versions")
    if not isinstance(versions, list):
        raise UsageError("`versions` must be a list", where=where, hint="is this a channel file?")
    return tuple(dict.fromkeys(_version(v, where) for v in versions))


def _declared(path: Path, oldest: tuple[int, int], days: dict[str, str]) -> Declared | None:
    """One declaration; None for a target that is older than what we keep."""
    value, where = _value(path)
    to = _version(value.get("to"), where)
    if _minor(to) < oldest:
        return None
    name, expression, url = (_text(value, key, where) for key in ("name", "from", "url"))
    if not re.fullmatch(r"[A-Za-z0-9_]{1,80}", name, re.ASCII):
        raise UsageError(f"{name!r} is no risk's name", where=where, hint="letters, digits and _")
    if not url.startswith("https://"):
        raise UsageError(f"{url!r} is no https url", where=where, hint="see the file upstream")
    try:
        compiled(expression)
    except ValueError as error:
        raise UsageError(str(error), where=where, hint="such an expression can't be kept here") from None
    rules = value.get("matchingRules")
    kinds = [r.get("type") for r in rules if isinstance(r, dict)] if isinstance(rules, list) else []
    if not kinds:
        raise UsageError("no matchingRules: it would take the edge away for all", where=where, hint="tell us")
    fixed = value.get("fixedIn", "")
    fixed = _version(fixed, where) if fixed else ""
    return Declared(
        name,
        to,
        expression,
        url,
        _ALWAYS in kinds,
        fixed,
        where,
        days.get(f"{path.parent.name}/{path.name}", ""),
    )


def _value(path: Path) -> tuple[Object, Location]:
    file = display(path)
    try:
        node = parse(read_text(path), file)
    except DataError as error:
        problem = error.problems[0]
        raise UsageError(problem.message, where=problem.where, hint=problem.hint) from None
    value = _plain(node)
    if not isinstance(value, dict):
        raise UsageError("keys and values are expected", where=at(node, file), hint="see the file upstream")
    return value, at(node, file)


def _plain(node: Node) -> Any:
    match node:
        case Scalar():
            return node.text
        case Sequence():
            return [_plain(item) for item in node.items]
        case Mapping():
            return {key.text: _plain(child) for key, child in node.entries}


def _text(value: Object, key: str, where: Location) -> str:
    found = value.get(key)
    if not isinstance(found, str) or not found:
        raise UsageError(f"the key {key!r} is missing", where=where, hint="see the file upstream")
    return found


def _version(found: Any, where: Location) -> str:
    """A whole version, or UsageError."""
    try:
        if isinstance(found, str) and len(found) <= 64 and is_whole(SEMVER, found):
            return found
    except ValueError:
        pass
    raise UsageError(
        f"{str(found)[:60]!r} is no OpenShift version", where=where, hint="one looks like 4.18.52"
    )


def _minor(version: str) -> tuple[int, int]:
    first, second = version.split(".")[:2]
    return int(first), int(second)


def _revision(checkout: Path) -> tuple[str, str]:
    """Short commit and its day; ("", "") where the checkout is no Git repository of its own."""
    commit, _, date = _git(checkout, "log", "-1", "--format=%h %cs", "--abbrev=7").partition(" ")
    return commit, date


def _days(checkout: Path, folder: str) -> dict[str, str]:
    """By file of the folder, the day of the commit that brought it. A shallow clone tells none: its end brings all."""
    if _git(checkout, "rev-parse", "--is-shallow-repository") != "false":
        return {}
    added = ("--no-renames", "--diff-filter=A", "--name-only", "--format=/%cs")
    days: dict[str, str] = {}
    day = ""
    for line in _git(checkout, "log", *added, "--", f"{folder}/").splitlines():
        if line.startswith("/"):  # no file's name in Git begins so
            day = line[1:]
        elif line:
            days.setdefault(line, day)  # newest first: the last time that it came
    return days


def _git(checkout: Path, *arguments: str) -> str:
    """What git says; "" where the checkout is no Git repository of its own."""
    if not (checkout / ".git").exists():
        return ""
    try:
        git = GitCommand(checkout, quiet_environment(), deadline=60.0)
        # The checkout's own configuration may not make git start another program.
        return git.run("-c", "log.showSignature=false", *arguments).text
    except GitFailed:
        return ""
