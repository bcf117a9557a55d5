"""Documents that passed their schema, as values of `model.matrix`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from knowngood.matrix.documents import Document, Documents
from knowngood.model.matrix import (
    Cluster,
    Component,
    Declaration,
    Disruption,
    GitOps,
    Identity,
    Limits,
    Matrix,
    Profile,
    Release,
    Ring,
    Rule,
    Severity,
    Source,
    Status,
    Tenant,
    UndoClass,
)

DEFAULT_OPERATOR_NAMESPACE = "nvidia-gpu-operator"


def matrix(documents: Documents, commit: str = "", *, dirty: bool = False) -> Matrix:
    """Every valid document as a value."""
    return Matrix(
        components={n: component(d) for n, d in documents.of("components").items()},
        releases={n: release(d) for n, d in documents.of("releases").items()},
        rules={n: rule(d) for n, d in documents.of("rules").items()},
        profiles={n: profile(d) for n, d in documents.of("profiles").items()},
        clusters={n: cluster(d) for n, d in documents.of("clusters").items()},
        commit=commit,
        dirty=dirty,
    )


def component(document: Document) -> Component:
    """A component file's value."""
    v = document.value
    return Component(
        name=document.name,
        title=v["title"],
        scheme=v["scheme"],
        disruption=Disruption(v["disruption"]),
        undo=UndoClass(v["undo"]),
        movable=v["movable"],
        sources=_sources(v),
        where=document.where,
        note=v.get("note", ""),
    )


def release(document: Document) -> Release:
    """A release file's value."""
    v = document.value
    return Release(
        name=document.name,
        status=Status(v["status"]),
        components=dict(v["components"]),
        profiles=tuple(v["profiles"]),
        where=document.where,
        reason=v.get("reason", ""),
        supersedes=v.get("supersedes", ""),
        lines={name: document.at("components", name).line or 1 for name in v["components"]},
    )


def rule(document: Document) -> Rule:
    """A rule file's value."""
    v = document.value
    return Rule(
        name=document.name,
        severity=Severity(v["severity"]),
        when=dict(v["when"]),
        require=dict(v["require"]),
        message=v["message"],
        sources=_sources(v),
        where=document.where,
    )


def profile(document: Document) -> Profile:
    """A hardware profile file's value."""
    v = document.value
    return Profile(
        name=document.name,
        product=v["product"],
        gpus=v["gpus"],
        gpu_model=v["gpuModel"],
        gpu_pci_id=v["gpuPciId"],
        nvswitch=v["nvswitch"],
        nics=v["nics"],
        nic_model=v["nicModel"],
        rdma_mode=v["rdmaMode"],
        gates={name: dict(gate) for name, gate in v["gates"].items()},
        evidence_max_age_days=v.get("evidenceMaxAgeDays", 0),
        sources=_sources(v),
        where=document.where,
    )


def cluster(document: Document) -> Cluster:
    """A cluster file's value."""
    v = document.value
    nodes = v["nodes"]
    identity = v.get("identity")
    return Cluster(
        name=document.name,
        profile=v["profile"],
        release=v["release"],
        control_plane=tuple(nodes.get("controlPlane", ())),
        cpu=tuple(nodes.get("cpu", ())),
        gpu=tuple(nodes["gpu"]),
        virtual=tuple(nodes.get("virtual", ())),
        rings=tuple(Ring(r["name"], tuple(r["nodes"]), r["batch"]) for r in v["rings"]),
        tenants=tuple(_tenant(t) for t in v["tenants"]),
        gitops=_gitops(v["gitops"]),
        declarations=tuple(_declaration(name, d) for name, d in v["declare"].items()),
        limits=limits(v.get("limits", {})),
        on_wave_failure=v.get("policy", {}).get("onWaveFailure", "hold"),
        where=document.where,
        operator_namespace=v.get("operatorNamespace", DEFAULT_OPERATOR_NAMESPACE),
        identity=Identity(identity["uid"], identity["ca"]) if identity else None,
        window_end=v.get("windowEnd", ""),
        probe_image=v.get("probeImage", ""),
        evidence_max_age_days=v.get("evidenceMaxAgeDays", 0),
        raw=v,
    )


def limits(values: Mapping[str, float]) -> Limits:
    """Limits from a file's keys: `operandAgeSeconds` is `operand_age`."""
    given = {_snake(key.removesuffix("Seconds")): float(seconds) for key, seconds in values.items()}
    return replace(Limits(), **given)


def _snake(name: str) -> str:
    return re.sub(r"[A-Z]", lambda m: "_" + m.group().lower(), name)


def _sources(value: Mapping[str, Any]) -> tuple[Source, ...]:
    return tuple(Source(s["ref"], s.get("date", ""), s.get("verified", True)) for s in value["sources"])


def _tenant(value: Mapping[str, Any]) -> Tenant:
    deadline = float(value["evictionDeadlineSeconds"])
    return Tenant(value["name"], tuple(value["namespaces"]), deadline, value.get("contact", ""))


def _gitops(value: Mapping[str, Any]) -> GitOps:
    applications = tuple(dict(a) for a in value["applications"])
    return GitOps(value["repo"], value["branch"], applications, value.get("credentials", ""))


def _declaration(component_name: str, value: Mapping[str, Any]) -> Declaration:
    return Declaration(component_name, value["file"], value["path"], dict(value["object"]))
