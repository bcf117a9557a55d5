"""A chart in the repository, rendered by `helm template` as its Application says: values, parameters, names.

The Application's manifest is looked for in the repository, too. What it may say that we can't give helm the same way is
`Inconclusive`. Nothing is downloaded: a chart whose dependencies are not beside it can't be rendered.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from knowngood.adapters.gitops.following import manifests
from knowngood.model.errors import Inconclusive
from knowngood.model.gitops import Application, folder_of

CHART = "Chart.yaml"
KNOWN = frozenset(
    (
        "releaseName",
        "valueFiles",
        "values",
        "valuesObject",
        "parameters",
        "ignoreMissingValueFiles",
        "skipCrds",
    )
)
"""What an Application may say of a chart that is given to helm here."""
_LITERAL = re.compile(r"true|false|null|0|-?[1-9][0-9]{0,18}|")
"""What `--set` takes for something else than text."""


def template(helm: str, tree: Path, application: Application, *, deadline: float) -> str:
    """The YAML that helm makes of an Application's chart. Raises Inconclusive."""
    where = f"{application.path}/{CHART}"
    if not helm:
        raise Inconclusive("a chart can't be rendered without helm", where=where, hint="put helm on PATH")
    manifest = _manifest(tree, application)
    with tempfile.TemporaryDirectory(prefix="knowngood-") as scratch:
        arguments = list(_arguments(tree, application, manifest, Path(scratch)))
        home = dict.fromkeys(("HOME", "HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"), scratch)
        try:
            done = subprocess.run(
                [helm, "template", *arguments],
                capture_output=True,
                text=True,
                timeout=deadline,
                env={"PATH": os.devnull, "KUBECONFIG": os.devnull, **home},
                cwd=scratch,
                check=False,
            )
        except (subprocess.TimeoutExpired, OSError) as error:
            raise Inconclusive(f"helm template: {type(error).__name__}", where=where) from error
    if done.returncode != 0:
        words = done.stderr.strip().splitlines() or ["no reason given"]
        raise Inconclusive(f"helm template: {words[-1][:300]}", where=where)
    return done.stdout


def find_helm() -> str:
    """helm on PATH, "" for none."""
    return shutil.which("helm") or ""


def _manifest(tree: Path, application: Application) -> dict[str, Any]:
    """Its manifest in the repository; an empty one where it says nothing that the chart's defaults don't."""
    path = application.path.strip("/")
    for found in manifests(tree, "Application", path):
        spec = found.get("spec") or {}
        if (found.get("metadata") or {}).get("name") != application.name:
            continue
        own = [source for source in spec.get("sources") or () if _path(source) == path]
        if own:
            return {**found, "spec": {**spec, "source": own[0]}}
        if _path(spec.get("source")) == path:
            return dict(found)
    if application.value_files:
        return {"spec": {"source": {"helm": {"valueFiles": list(application.value_files)}}}}
    folder = tree / path
    more = [p.name for p in folder.glob("*values*.y*ml") if p.name != "values.yaml"]
    if more:
        what = f"which of {', '.join(['values.yaml', *sorted(more)])} count is not known"
        hint = f"write valueFiles of Application {application.name} into the cluster file, as the live one has them"
        raise Inconclusive(what, where=application.path, hint=hint)
    return {}


def _values_file(tree: Path, folder: Path, manifest: dict[str, Any], name: str) -> Path:
    """Where a values file is: beside the chart, from the repository's root, or by another source's name for it."""
    if any(sign in name for sign in "*?["):
        what = f"the values files {name} are a pattern, and in which order they count is not known here"
        raise Inconclusive(what, where=str(folder.relative_to(tree.resolve())), hint="name each of them")
    if name.startswith("$"):
        ref, _, rest = name[1:].partition("/")
        spec = manifest.get("spec") or {}
        source = spec.get("source") or {}
        named: dict[str, Any] = next((s for s in spec.get("sources") or () if s.get("ref") == ref), {})
        same = all(named.get(key) == source.get(key) for key in ("repoURL", "targetRevision"))
        if not named or not same:
            what = f"the values file {name} is of another repository or revision than the chart"
            raise Inconclusive(what, where=str(folder.relative_to(tree.resolve())), hint="keep both in one")
        return (tree / rest).resolve()
    return (tree / name.lstrip("/") if name.startswith("/") else folder / name).resolve()


def _path(source: Any) -> str:
    return folder_of(source) if isinstance(source, dict) else ""


def _arguments(
    tree: Path, application: Application, manifest: dict[str, Any], scratch: Path
) -> Iterator[str]:
    spec = manifest.get("spec") or {}
    said = (spec.get("source") or {}).get("helm") or {}
    if unknown := sorted(set(said) - KNOWN):
        what = f"spec.source.helm.{unknown[0]} of Application {application.name} is not known here"
        raise Inconclusive(what, where=application.path)
    yield str(said.get("releaseName") or application.name)
    folder = (tree / application.path).resolve()
    yield str(folder)
    yield from ("--namespace", str((spec.get("destination") or {}).get("namespace") or "default"))
    if str(said.get("skipCrds", "")).lower() != "true":
        yield "--include-crds"
    for name in said.get("valueFiles") or ():
        file = _values_file(tree, folder, manifest, str(name))
        if not file.is_relative_to(tree.resolve()) or not file.is_file():
            if str(said.get("ignoreMissingValueFiles", "")).lower() == "true" and "$" not in str(name):
                continue
            raise Inconclusive(f"the values file {name} is not in the repository", where=application.path)
        yield from ("--values", str(file))
    values = yaml.safe_dump(said["valuesObject"]) if said.get("valuesObject") else said.get("values")
    if values:
        (scratch / "values.yaml").write_text(str(values), encoding="utf-8")
        yield from ("--values", str(scratch / "values.yaml"))
    for number, one in enumerate(said.get("parameters") or ()):
        text = str(one.get("value", ""))
        if text.startswith("{") or "\\" in text:
            what = f"the parameter {one.get('name')} of Application {application.name} is a list or holds a backslash"
            raise Inconclusive(what, where=application.path, hint="write it as valuesObject")
        if str(one.get("forceString", "")).lower() == "true" or not _LITERAL.fullmatch(text):
            # Whatever is free text may be a secret: arguments are read by all users of a machine.
            file = scratch / f"parameter-{number}"
            file.write_text(text, encoding="utf-8")
            yield from ("--set-file", f"{one.get('name')}={file}")
        else:
            yield from ("--set", f"{one.get('name')}={text}")
