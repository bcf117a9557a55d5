"""A cluster file and an observed release as text, from what was seen; and what an existing file says otherwise."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from knowngood.matrix.reading import read_text
from knowngood.model.errors import DataError
from knowngood.model.text import printable
from knowngood.planner.discover.seen import Told
from knowngood.planner.discover.telling import ORDER

HEAD = "# yaml-language-server: $schema=../schema/{kind}.json\n"
CHOSEN = ("batch", "evictionDeadlineSeconds", "contact", "credentials", "workloads")
"""Keys, at any depth, that people choose: what a cluster shows says nothing of them."""
WIDTH = 118


def cluster_text(told: Told, source: str) -> str:
    """The cluster file: each key with where it was seen, and `# ?` before what is left to a human."""
    lines = [HEAD.format(kind="cluster").rstrip()]
    lines += _comment(
        f"Found by knowngood discover from {source}. A line with `# ?` asks you: answer it, then drop it."
    )
    for key in ORDER:
        for question in told.questions.get(key, ()):
            lines += _comment(f"? {key}: {question}")
        if key in told.values:
            lines += [*_comment(f"seen: {told.how[key]}"), _yaml({key: told.values[key]}).rstrip()]
    return "\n".join(lines) + "\n"


def observed_text(told: Told, source: str) -> str:
    """What runs, as `--from-file` takes it."""
    rows = sorted(told.versions.items())
    lines = [*_comment(f"Seen by knowngood discover, from {source}."), "versions:"]
    lines += [f"  {_yaml({name: v.text}).rstrip()}  # {printable(v.how)}" for name, v in rows]
    return "\n".join(lines) + "\n"


def draft_text(told: Told) -> str:
    """A hardware profile to be completed, of a kind of machine that none fits."""
    left = "? gpuModel, nvswitch, nicModel, rdmaMode, gates: copy them from the profile that is nearest, and see each"
    rows = [_yaml({key: value}) for key, value in told.draft.items()]
    return (
        "\n".join([HEAD.format(kind="profile").rstrip(), *_comment(left), *(r.rstrip() for r in rows)]) + "\n"
    )


def _comment(text: str) -> list[str]:
    plain = printable(text)
    return textwrap.wrap(
        plain,
        WIDTH,
        initial_indent="# ",
        subsequent_indent="#   ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def _yaml(value: Mapping[str, Any]) -> str:
    """One key: a scalar beside it, a collection below it, its innermost ones in brackets where they fit in a line."""
    collections = all(isinstance(v, (dict, list)) for v in value.values())
    text = _dumped(value, None if collections else False)
    return text if all(len(line) <= WIDTH for line in text.splitlines()) else _dumped(value, flow=False)


def _dumped(value: Mapping[str, Any], flow: bool | None) -> str:
    dump: Any = yaml.safe_dump
    return str(dump(dict(value), sort_keys=False, default_flow_style=flow, width=WIDTH, allow_unicode=True))


def differences(told: Told, file: Path) -> tuple[str, ...]:
    """Where what was seen and an existing cluster file are not the same; a key that people choose is left out.

    DataError where the file is no YAML mapping.
    """
    text = read_text(file, str(file))
    try:
        there = yaml.safe_load(text)
    except yaml.YAMLError:
        there = None
    if not isinstance(there, dict):
        from knowngood.matrix.yaml_text import parse  # noqa: PLC0415 (only for its words)

        parse(text, str(file))
        raise DataError(())
    old = dict(_leaves({k: v for k, v in there.items() if k in told.values}, ""))
    new = dict(_leaves(told.values, ""))
    return tuple(_otherwise(old, new))


def _otherwise(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[str]:
    for path in sorted({*old, *new}):
        if path not in old:
            yield f"{path}: the cluster has {new[path]}, the file nothing"
        elif path not in new:
            yield f"{path}: the file has {old[path]}, the cluster nothing that shows it"
        elif old[path] != new[path]:
            yield f"{path}: the file has {old[path]}, the cluster {new[path]}"


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Dotted path -> text; items of a list by their name, plain lists as one text."""
    if isinstance(value, dict):
        for key, child in value.items():
            if key not in CHOSEN:
                yield from _leaves(child, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and all(isinstance(v, dict) and "name" in v for v in value):
        for item in value:
            rest = {k: v for k, v in item.items() if k != "name"}
            yield from _leaves(rest, f"{path}[{item['name']}]")
    elif isinstance(value, list):
        yield path, ", ".join(map(str, value))
    else:
        yield path, str(value)
