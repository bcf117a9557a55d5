"""What a chart of a version brings, by Helm's own binary: nothing of ours reads charts."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from knowngood.adapters.kubernetes.client import Object
from knowngood.model.errors import CouldNot

HELM = "helm"
SECONDS = 120.0
"""For one chart to be fetched and rendered."""
ELSEWHERE = ("fileParameters", "parameters", "valueFiles")
"""Where an Application may have values that are not handed to Helm here: among arguments everybody would read them."""
HINT = "have helm on PATH and logged in where the chart is; its own words are above"


@dataclass(frozen=True, slots=True)
class Versions:
    """Of a definition: the versions that it knows, and the one in which it stores."""

    known: frozenset[str]
    stored: str


def definitions(application: Object, revision: str) -> Mapping[str, Versions]:
    """The CustomResourceDefinitions that the Application would have at another revision of its chart, by name.

    CouldNot where Helm is not there, does not reach the chart, or prints what is none.
    """
    source = (application.get("spec") or {}).get("source") or {}
    helm = source.get("helm") or {}
    if elsewhere := sorted(key for key in ELSEWHERE if helm.get(key)):
        hint = "give them by spec.source.helm.valuesObject, or move it by hand"
        raise CouldNot(f"its values come from {', '.join(elsewhere)}, too", hint=hint)
    if "@" in str(source.get("repoURL") or "").partition("://")[2].partition("/")[0]:
        hint = "keep them where helm and Argo CD look for them: a registry's login, a repository's Secret"
        raise CouldNot("its repoURL carries credentials, which would stand among arguments", hint=hint)
    values, arguments = _values(helm), _arguments(application, source, helm, revision)
    try:
        done = subprocess.run(
            [HELM, *arguments],
            input=values,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except FileNotFoundError:
        raise CouldNot(f"there is no {HELM} on PATH", hint="install helm where the run is") from None
    except subprocess.TimeoutExpired:
        raise CouldNot(f"{HELM} did not answer within {SECONDS:.0f} s", hint=HINT) from None
    if done.returncode:
        said = done.stderr.strip().splitlines()[-1:] or ["it says nothing"]
        raise CouldNot(f"{HELM} could not render {revision}: {said[0]}", hint=HINT)
    try:
        found = [d for d in yaml.safe_load_all(done.stdout) if isinstance(d, dict)]
    except yaml.YAMLError as error:
        raise CouldNot(f"{HELM} printed no YAML for {revision}: {error}", hint=HINT) from None
    return dict(_definition(d) for d in found if d.get("kind") == "CustomResourceDefinition")


def _definition(document: Mapping[str, Any]) -> tuple[str, Versions]:
    versions = (document.get("spec") or {}).get("versions") or ()
    stored = next((str(v["name"]) for v in versions if v.get("storage")), "")
    return str(document["metadata"]["name"]), Versions(frozenset(str(v["name"]) for v in versions), stored)


def _values(helm: Mapping[str, Any]) -> str:
    """Its values, for helm's standard input: they may hold what must not stand among arguments."""
    given = helm.get("valuesObject")
    return json.dumps(given) if given else str(helm.get("values") or "{}")


def _arguments(application: Object, source: Object, helm: Mapping[str, Any], revision: str) -> list[str]:
    """As Argo CD calls it: a registry's address has no scheme there, a repository's has one."""
    at, chart = str(source.get("repoURL") or ""), str(source.get("chart") or "")
    by_registry = "://" not in at or at.startswith("oci://")
    name = str(helm.get("releaseName") or application["metadata"]["name"])
    place = f"oci://{at.removeprefix('oci://')}/{chart}" if by_registry else chart
    repository = [] if by_registry else ["--repo", at]
    space = str(((application.get("spec") or {}).get("destination") or {}).get("namespace") or "default")
    crds = [] if helm.get("skipCrds") else ["--include-crds"]
    options = ["--version", revision, "--namespace", space, *crds, "--values", "-"]
    return ["template", *options, *repository, "--", name, place]
