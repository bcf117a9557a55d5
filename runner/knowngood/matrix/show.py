"""What `knowngood show` and `validate` say: plain JSON values, no decisions, no terminal."""

from __future__ import annotations

from knowngood.matrix.lint import RULES
from knowngood.model.errors import Problem
from knowngood.model.graph import Edges
from knowngood.model.hardware import Hardware, pools_of
from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Cluster, Matrix, Profile, Release, Rule
from knowngood.model.values import Object
from knowngood.planner.gates import applicable_on
from knowngood.planner.rules.evaluation import Finding, asks_about, evaluate, standing, traits_of


def describe_release(matrix: Matrix, name: str) -> Object:
    """A release: versions, what the rules say, where it is pinned; KeyError where there is none."""
    release = matrix.releases[name]
    previous = matrix.releases.get(release.supersedes)
    before = previous.components if previous else {}
    return {
        **_release_row(release),
        "reason": release.reason,
        "supersedes": release.supersedes,
        "file": str(release.where),
        "components": [
            {
                "name": component,
                "title": matrix.components[component].title,
                "version": version,
                "changed": bool(before) and before.get(component) != version,
                "before": before.get(component, ""),
            }
            for component, version in release.components.items()
        ],
        "rules": [
            {
                "name": f.rule.name,
                "severity": f.rule.severity.value,
                "outcome": f.outcome.value,
                "component": f.component,
                "needs": f.required,
                "message": f.rule.message,
                "action": f.rule.action,
                "source": " | ".join(source.ref for source in f.rule.sources),
                "profiles": list(profiles),
            }
            for f, profiles in _findings(matrix, release)
        ],
        "pinnedBy": [c.name for c in matrix.clusters.values() if c.release == name],
    }


def _findings(matrix: Matrix, release: Release) -> list[tuple[Finding, tuple[str, ...]]]:
    """What the rules say on each of the release's profiles: what is said alike comes once, with all of them.

    Versions that follow from others are judged too; traits that only a cluster has are unknown here.
    """
    said: dict[tuple[str, str, str, str], tuple[Finding, tuple[str, ...]]] = {}
    for name in release.profiles:
        profile = matrix.profiles.get(name)
        traits = traits_of(profile, None) if profile else {}
        for f in evaluate(matrix.rules.values(), matrix.components, release.components, traits):
            mark = (f.rule.name, f.outcome.value, f.component, f.required)
            said[mark] = (f, (*said.get(mark, (f, ()))[1], name))
    return list(said.values())


def describe_component(matrix: Matrix, name: str) -> Object:
    """A component: how it is read, declared, moved and undone, and what names it; KeyError where there is none."""
    component = matrix.components[name]
    described: Object = {k: v for k, v in to_json(component).items() if v is not None}
    del described["where"]
    return {
        **described,
        "file": str(component.where),
        "rules": [r.name for r in matrix.rules.values() if name in asks_about(r)],
        "releases": [
            {"name": r.name, "version": r.components[name]}
            for r in matrix.releases.values()
            if name in r.components
        ],
    }


def describe_edge(matrix: Matrix, name: str) -> Object:
    """What is known of a component's versions and moves; KeyError where nothing is."""
    edges = matrix.edges[name]
    return {
        **edge_row(edges),
        "channels": [
            {"name": channel, "versions": len(versions), "newest": versions[-1] if versions else ""}
            for channel, versions in edges.channels.items()
        ],
        "catalogs": [
            {
                "minor": catalog.openshift,
                "defaultChannel": catalog.default_channel,
                "channels": len(catalog.channels),
                "versions": len({b.version for bundles in catalog.channels.values() for b in bundles}),
            }
            for catalog in edges.catalogs.values()
        ],
        "steps": edges.steps.message if edges.steps else "",
        "branches": [{"range": b.range, "kind": b.kind, "end": b.end} for b in edges.branches],
        "risks": [
            {
                "name": risk.name,
                "always": risk.always,
                "gpu": risk.gpu,
                "targets": len(risk.targets),
                "fixedIn": ", ".join(risk.fixed_in),
                "gist": risk.gist,
            }
            for risk in edges.risks.values()
        ],
        "sources": [source.ref for source in edges.sources],
    }


def edge_row(edges: Edges) -> Object:
    """One line about a component's edges: how many versions, from which to which, and what decides a move."""
    known = tuple(edges.versions)
    graph = "its update graph" if edges.graph else "OLM catalogs" if edges.catalogs else ""
    deciding = [what for what in (graph, "the vendor's steps" if edges.steps else "") if what]
    return {
        "component": edges.component,
        "versions": len(known),
        "oldest": known[0] if known else "",
        "newest": known[-1] if known else "",
        "decidedBy": " and ".join(deciding) or "nothing: any may follow any",
    }


def describe_conflicts(matrix: Matrix) -> list[Object]:
    """Each rule whose sources contradict each other: who says what, and what a person decided."""
    return [
        {
            "name": r.name,
            "severity": r.severity.value,
            "when": dict(r.when),
            "claims": [
                {"source": c.source.ref, "date": c.source.date, "require": dict(c.require)} for c in r.claims
            ],
            "decided": r.decided,
        }
        for r in matrix.rules.values()
        if r.claims
    ]


def describe_cluster(matrix: Matrix, name: str) -> Object:
    """A cluster: its pin, rings, gates and what stands between it and known-good; KeyError where there is none."""
    cluster = matrix.clusters[name]
    gates = applicable_on(Hardware.of_cluster(cluster, matrix.profiles), cluster)
    return {
        **_cluster_row(cluster),
        "file": str(cluster.where),
        **({"pools": {name: list(nodes) for name, nodes in cluster.pools.items()}} if cluster.pools else {}),
        "identityPinned": cluster.identity is not None,
        "nodes": {
            "controlPlane": list(cluster.control_plane),
            "cpu": list(cluster.cpu),
            "gpu": list(cluster.gpu),
            "virtual": list(cluster.virtual),
        },
        "rings": [{"name": r.name, "nodes": list(r.nodes), "batch": r.batch} for r in cluster.rings],
        "tenants": [{"name": t.name, "namespaces": list(t.namespaces)} for t in cluster.tenants],
        "declared": [
            {"component": d.component, "scope": d.scope.value, "file": d.file, "path": d.path}
            for d in cluster.declarations
        ],
        "gitops": {"repo": cluster.gitops.repo, "branch": cluster.gitops.branch},
        "limitsSeconds": to_json(cluster.limits),
        "windowEnd": cluster.window_end,
        "onWaveFailure": cluster.on_wave_failure,
        "gates": {
            "active": list(gates.active),
            "passive": list(gates.passive),
            "notApplicable": dict(gates.not_applicable),
        },
        "targets": [r.name for r in matrix.releases.values() if _is_target(r, cluster)],
    }


def describe_profile(matrix: Matrix, name: str) -> Object:
    """A hardware profile with its gates' parameters; KeyError where there is none."""
    profile: Profile = matrix.profiles[name]
    described: Object = to_json(profile)
    described["file"] = str(profile.where)
    del described["where"]
    return described


def describe_rule(matrix: Matrix, name: str) -> Object:
    """A compatibility rule; KeyError where there is none."""
    rule: Rule = matrix.rules[name]
    described: Object = to_json(rule)
    described["file"] = str(rule.where)
    described["conflict"] = bool(rule.claims) and standing(rule) == rule.claims
    del described["where"]
    return described


def describe_problem(problem: Problem) -> Object:
    """One finding of `validate`."""
    return {
        "file": problem.where.file,
        "line": problem.where.line,
        "column": problem.where.column,
        "rule": problem.rule,
        "severity": problem.severity,
        "message": problem.message,
        "expected": problem.expected,
        "hint": problem.hint,
    }


def lint_rules() -> list[dict[str, str]]:
    """The numbered rules, for docs and `validate --list-rules`."""
    return [
        {"number": r.number, "severity": r.severity, "title": r.title, "why": r.why}
        for r in sorted(RULES.values(), key=lambda r: r.number)
    ]


def _release_row(release: Release) -> Object:
    return {"name": release.name, "status": release.status.value, "profiles": list(release.profiles)}


def _cluster_row(cluster: Cluster) -> Object:
    gpus = len(cluster.gpu)
    profile = ", ".join(pools_of(cluster))
    return {"name": cluster.name, "profile": profile, "release": cluster.release, "gpuNodes": gpus}


def _is_target(release: Release, cluster: Cluster) -> bool:
    return (
        release.name != cluster.release
        and release.status != "revoked"
        and set(pools_of(cluster)) <= set(release.profiles)
    )
