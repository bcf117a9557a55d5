"""What a chart is given: values in a chart's folder, or in its Application, that are a field of an object it makes.

A value is such a field where its path ends as the field's does and its text is what the live object holds; nothing else
says what a chart makes of it. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from posixpath import normpath
from typing import Any

from knowngood.model.gitops import folder_of
from knowngood.model.mover import MoverSpec
from knowngood.model.values import Object
from knowngood.planner.discover.seen import VALUES, File, Seen, name_of

_HELM = re.compile(
    r"(?P<before>spec\.sources?(?:\.\d+)?\.helm\.)(?P<how>valuesObject|values|parameters)\.(?P<rest>.+)"
)


@dataclass(frozen=True, slots=True)
class _Value:
    text: str
    written: str


Given = Mapping[str, _Value]
"""Path among the values -> its text, and where that is written."""


def given(seen: Seen, application: Object, source: Object, mover: MoverSpec) -> Iterator[tuple[File, Object]]:
    """The objects that a chart's Application makes, as files in which their fields are written, and their resources."""
    for resource in (application.get("status") or {}).get("resources") or ():
        live = next(
            (o for o in seen.of(str(resource.get("kind"))) if name_of(o) == resource.get("name")), None
        )
        paths = mover.fields.get(str(resource.get("kind")), {})
        if live is None or not paths:
            continue
        for file, values in _values(seen, application, source):
            found = {p: v for p in paths if (v := _at(values, p, _scalar(live, p)))}
            if found:
                texts = {path: value.text for path, value in found.items()}
                written = {path: value.written for path, value in found.items()}
                named = str(resource["kind"]), str(resource["name"]), str(resource.get("namespace") or "")
                yield File(file, *named, texts, written=written), resource
                break


def _at(values: Given, path: str, live: str) -> _Value | None:
    """The one value that is the field at a path."""
    tail = path.removeprefix("spec.")
    hits = [v for p, v in values.items() if (p == tail or p.endswith(f".{tail}")) and v.text == live]
    return hits[0] if live and len(hits) == 1 else None


def _values(seen: Seen, application: Object, source: Object) -> Iterator[tuple[str, Given]]:
    """File -> values, what counts more before what it overrides."""
    files = seen.files or ()
    for file in (f for f in files if (f.kind, f.name) == ("Application", name_of(application))):
        yield file.path, dict(_in_manifest(file))
    folder = folder_of(source)
    if not folder:
        return  # a chart from elsewhere: what becomes of a file of values could not be proven
    named = [str(n) for n in (source.get("helm") or {}).get("valueFiles") or ()]
    order = [_of_root(folder, name) for name in (*reversed(named), "values.yaml")]
    own = {f.path: f for f in files if f.kind == VALUES}
    for path in (p for p in dict.fromkeys(order) if p in own):
        yield path, {p: _Value(text, p) for p, text in own[path].texts.items()}


def _of_root(folder: str, name: str) -> str:
    """A values file's path in the repository: beside the chart, from the root, or by a source's name for the root."""
    return name.partition("/")[2] if name.startswith(("/", "$")) else normpath(f"{folder}/{name}")


def _in_manifest(file: File) -> Iterator[tuple[str, _Value]]:
    for path, text in file.texts.items():
        match = _HELM.fullmatch(path)
        if match is None:
            continue
        before, how, rest = match.group("before", "how", "rest")
        if how != "parameters":
            yield rest, _Value(text, path)
        elif rest.endswith(".name"):
            value = file.texts.get(f"{before}{how}.{rest.removesuffix('name')}value", "")
            yield text, _Value(value, f"{before}{how}[name={text}].value")


def _scalar(obj: Object, path: str) -> str:
    at: Any = obj
    for key in path.split("."):
        at = at.get(key) if isinstance(at, Mapping) else None
    return at if isinstance(at, str) else ""
