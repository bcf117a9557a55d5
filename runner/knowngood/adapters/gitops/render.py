"""What Argo CD would make of a folder: the proof, before each push, that only the planned fields change.

Plain folders are read by us, kustomizations by `kubectl kustomize`, charts by `helm template`. What we can't render the
same way as Argo CD (plugins, jsonnet) is `Inconclusive`, never a guess. All scalars are compared as text.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from knowngood.adapters.gitops.charts import CHART, find_helm, template
from knowngood.adapters.gitops.following import KUSTOMIZATION
from knowngood.matrix.span_edit import edit_scalar, read_scalar
from knowngood.model.errors import DataError, Inconclusive
from knowngood.model.field import FieldChange, ObjectRef
from knowngood.model.gitops import Application
from knowngood.ports.gitops import RenderMismatch

_MAX_BYTES = 4 * 1024 * 1024
_MAX_FIELDS = 200_000  # ends an alias bomb; a large cluster's folder has some 10,000
_Loader: Any = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
_MEND = (
    "it may read what is to change, and must be rendered for the proof: mend it, or take it out of the branch"
)

_INFLATED = (
    "a chart that kustomize inflates (helmCharts) is not rendered here: bring it by an Application of its own"
)

_MANIFEST = ("apiVersion", "kind", "metadata")
"""Words without which YAML is no manifest (Argo CD, reposerver/repository: what it can't read as objects)."""
_LATER = (
    "either no Application of the cluster file reads that file, or a patch, a replacement or other values set the "
    "field after it: declare the place that counts"
)

Key = tuple[str, str, str, str]  # apiVersion, kind, namespace, name
Rendered = Mapping[Key, Mapping[str, str]]  # object -> dotted path -> text


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs between two renderings; None where it is absent."""

    application: str
    object: Key
    path: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        kind, name = self.object[1], self.object[3]
        return f"{kind} {name} {self.path}: {self.before} -> {self.after} (Application {self.application})"


class Renderer(Protocol):
    """Renders one Application's path of a work tree."""

    def render(self, tree: Path, application: Application) -> Rendered:
        """All objects, flattened. Raises Inconclusive where it can't be told what Argo CD would apply."""
        ...


class FolderRenderer(Renderer):
    """Plain folders, kustomizations and charts where kubectl and helm are on PATH. `deadline` is seconds a folder."""

    def __init__(
        self, *, kubectl: str | None = None, helm: str | None = None, deadline: float = 60.0
    ) -> None:
        self._kubectl = shutil.which("kubectl") if kubectl is None else kubectl
        self._helm = find_helm() if helm is None else helm
        self._deadline = deadline

    def render(self, tree: Path, application: Application) -> Rendered:
        """See Renderer."""
        folder = (tree / application.path).resolve()
        if not folder.is_relative_to(tree.resolve()):
            raise Inconclusive("the Application's path leaves the repository", where=application.path)
        if not folder.is_dir():
            return {}
        kustomization = next((folder / n for n in KUSTOMIZATION if (folder / n).exists()), None)
        if kustomization:
            where = str(kustomization.relative_to(tree.resolve()))
            return _objects(self._kustomize(kustomization, where), where)
        if (folder / CHART).exists():
            made = template(self._helm, tree, application, deadline=self._deadline)
            return _objects(made, f"{application.path}/{CHART}")
        rendered: dict[Key, Mapping[str, str]] = {}
        for file in sorted(folder.rglob("*") if application.recurse else folder.iterdir()):
            where = str(file.relative_to(tree.resolve()))
            if file.suffix in (".jsonnet", ".libsonnet"):
                raise Inconclusive(
                    "jsonnet can't be rendered here",
                    where=where,
                    hint="declare the component in a plain folder or a kustomization",
                )
            if file.is_file() and file.suffix in (".yaml", ".yml", ".json"):
                text = _read(file, where)
                if file.suffix != ".json" and any(word not in text for word in _MANIFEST):
                    continue  # Argo CD leaves it alone, too: a linter's settings, values
                for key, fields in _objects(text, where).items():
                    if key in rendered:
                        raise Inconclusive(f"{key[1]} {key[3]} is there twice", where=where)
                    rendered[key] = fields
        return rendered

    def _kustomize(self, file: Path, where: str) -> str:
        if not self._kubectl:
            raise Inconclusive(
                "a kustomization can't be rendered without kubectl",
                where=where,
                hint="put kubectl on PATH",
            )
        # Its own folder as PATH: a kustomization that names a remote base finds no git to fetch it with.
        env = {"PATH": str(Path(self._kubectl).parent), "HOME": os.devnull, "KUBECONFIG": os.devnull}
        if shutil.which("git", path=env["PATH"]):
            env["PATH"] = os.devnull
        try:
            done = subprocess.run(
                [self._kubectl, "kustomize", str(file.parent)],
                capture_output=True,
                text=True,
                timeout=self._deadline,
                env=env,
                check=False,
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            raise Inconclusive(f"kubectl kustomize: {type(error).__name__}", where=where) from error
        if done.returncode != 0:
            words = done.stderr.strip().splitlines() or ["no reason given"]
            hint = _INFLATED if "--enable-helm" in done.stderr else _MEND
            raise Inconclusive(f"kubectl kustomize: {words[-1][:300]}", where=where, hint=hint)
        return done.stdout


def differences(application: str, before: Rendered, after: Rendered) -> list[Difference]:
    """Every field in which two renderings differ."""
    found = []
    for key in sorted(before.keys() | after.keys()):
        old, new = before.get(key, {}), after.get(key, {})
        for path in sorted(old.keys() | new.keys()):
            if old.get(path) != new.get(path):
                found.append(Difference(application, key, path, old.get(path), new.get(path)))
    return found


def fields_of(rendered: Iterable[Rendered], named: ObjectRef) -> Mapping[str, str]:
    """The fields of an object, from the first rendering that has it; none where no one has."""
    for one in rendered:
        for key, fields in one.items():
            if _is(key, named):
                return fields
    return {}


def _is(key: Key, named: ObjectRef) -> bool:
    api_version, kind, namespace, name = key
    same = (api_version, kind, name) == (named.api_version, named.kind, named.name)
    return same and namespace in ("", named.namespace or namespace)


def prove(
    found: Sequence[Difference], changes: Sequence[FieldChange], elsewhere: Sequence[Difference] = ()
) -> None:
    """RenderMismatch unless the differences are exactly the planned fields, each in one Application.

    `elsewhere`: what differs in Applications that are not to move.
    """
    open_changes, moved, carried = list(changes), dict[FieldChange, str](), dict[FieldChange, str]()
    for difference in found:
        match = next((c for c in open_changes if _is_planned(difference, c)), None)
        if match is None and any(_copies(difference, c) for c in changes):
            continue  # what is copied must arrive, too
        carries = [c for c in changes if match is None and _carries(difference, c)]
        if carries:
            once = next((c for c in carries if c not in carried), None)
            if once is None:  # a patch of several Applications moves them all
                raise RenderMismatch(_both(carries[0], carried[carries[0]], difference, difference.object[3]))
            carried[once] = difference.object[3]
            continue
        if match is None:
            twice = next((c for c in moved if _is_planned(difference, c)), None)
            if twice:
                raise RenderMismatch(_both(twice, moved[twice], difference))
            raise RenderMismatch(f"the commit would also change {difference}; nothing was pushed")
        open_changes.remove(match)
        moved[match] = difference.application
    for difference in elsewhere:
        change = next((c for c in (*moved, *changes) if c.object.kind == difference.object[1]), None)
        change = change or next(iter(changes), None)
        if change is None:
            raise RenderMismatch(f"nothing was to change, and {difference} would; nothing was pushed")
        raise RenderMismatch(_both(change, moved.get(change, "that is to move"), difference))
    for change in (c for c in open_changes if c not in carried):
        raise RenderMismatch(
            f"{change.file}: {change.path} {change.before} -> {change.after} reaches no Application's "
            f"{change.object}; nothing was pushed",
            hint=_LATER,
        )


def _both(change: FieldChange, moves: str, other: Difference, second: str = "") -> str:
    return (
        f"{change.file}: {change.path} reaches Application {moves}, and Application {second or other.application}, "
        f"which is not to move, too: {other}; nothing was pushed"
    )


def _is_planned(difference: Difference, change: FieldChange) -> bool:
    planned = (difference.path, difference.before, difference.after)
    return planned == (change.path, change.before, change.after) and _is(difference.object, change.object)


def _carries(difference: Difference, change: FieldChange) -> bool:
    """Whether it is where an Application gives its chart the value, of which a chart from elsewhere makes the rest."""
    if not change.written or difference.object[1] != "Application":
        return False
    path, before, after = difference.path, difference.before or "", difference.after or ""
    shape = "".join(
        r"\.?\d+" if part.startswith("[") else re.escape(part)
        for part in re.split(r"(\.?\[[^\]]*\])", change.written)
        for part in [part.removeprefix(".") if part.startswith(".[") else part]
    )
    if re.fullmatch(shape, path):
        return (before, after) == (change.before, change.after)
    if not change.written.startswith(f"{path}."):
        return False
    rest = change.written.removeprefix(f"{path}.")
    try:  # text that is YAML itself
        held = read_scalar(before, rest, file=path)
        return held == change.before and edit_scalar(before, rest, change.after, file=path) == after
    except DataError:
        return False


def _copies(difference: Difference, change: FieldChange) -> bool:
    """Whether it is the ConfigMap from which a kustomization copies the value."""
    planned = (change.written, change.before, change.after)
    return (
        difference.object[1] == "ConfigMap"
        and (difference.path, difference.before, difference.after) == planned
    )


def _read(file: Path, where: str) -> str:
    if file.stat().st_size > _MAX_BYTES:
        raise Inconclusive(f"larger than {_MAX_BYTES} bytes", where=where)
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise Inconclusive("not UTF-8", where=where) from error


def _objects(text: str, where: str) -> dict[Key, Mapping[str, str]]:
    rendered: dict[Key, Mapping[str, str]] = {}
    try:
        documents = [d for d in yaml.load_all(text, Loader=_Loader) if d]
    except (yaml.YAMLError, RecursionError) as error:
        raise Inconclusive(f"not YAML: {str(error).splitlines()[0]}", where=where) from error
    for document in documents:
        for item in _items(document):
            metadata = item.get("metadata") if isinstance(item, dict) else None
            if not isinstance(metadata, dict) or not item.get("kind") or not item.get("apiVersion"):
                raise Inconclusive("not a Kubernetes object", where=where)
            name = metadata.get("name") or metadata.get("generateName") or ""
            namespace = metadata.get("namespace") or ""
            key = (str(item["apiVersion"]), str(item["kind"]), str(namespace), str(name))
            if key in rendered:
                raise Inconclusive(f"{key[1]} {key[3]} is there twice", where=where)
            rendered[key] = _flat(item, where)
    return rendered


def _items(document: Any) -> list[Any]:
    if isinstance(document, dict) and str(document.get("kind", "")).endswith("List") and "items" in document:
        return list(document["items"] or [])
    return [document]


def _flat(item: Any, where: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for path, text in _walk(item, "", 0):
        fields[path] = text
        if len(fields) > _MAX_FIELDS:
            raise Inconclusive(f"more than {_MAX_FIELDS} fields", where=where)
    return fields


def _walk(value: Any, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if depth > 100:
        raise Inconclusive("nested too deep", where=path[:80])
    children: Iterator[tuple[Any, Any]] | None = None
    if isinstance(value, dict) and value:
        children = iter(value.items())
    elif isinstance(value, list) and value:
        children = iter(enumerate(value))
    if children is None:
        yield path, value if isinstance(value, str) else repr(value)
        return
    for key, child in children:
        yield from _walk(child, f"{path}.{key}" if path else str(key), depth + 1)
