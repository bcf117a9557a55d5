"""`knowngood show`: what the matrix knows, and one run. JSON comes from `matrix.show`, text is made here."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

import click

from knowngood.cli import runs
from knowngood.cli.matrix_source import Source, load, pick
from knowngood.cli.options import Settings, debug_option, matrix_option, output_option, runs_option
from knowngood.cli.terminal import SCHEMA, say, width
from knowngood.matrix.show import (
    describe_cluster,
    describe_component,
    describe_conflicts,
    describe_edge,
    describe_profile,
    describe_release,
    describe_rule,
    edge_row,
)
from knowngood.model.errors import UsageError
from knowngood.model.hardware import pools_of
from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Cluster, Component, Matrix
from knowngood.model.text import Page, as_json, page
from knowngood.model.values import Object
from knowngood.planner.movable import Obstacle, comes_with, obstacle
from knowngood.planner.scope import to_rings
from knowngood.report.columns import WIDTH, columns, table, wrapped
from knowngood.report.published import names, schema
from knowngood.report.summary import summarise
from knowngood.report.text import summary_text

Rows = Sequence[Sequence[str]]
RUN_ID = re.compile(r"r\d{8}-")
KINDS = ("components", "releases", "rules", "edges", "clusters", "profiles")
SCHEMAS = ("schemas", "schema")
"""Of what is printed as JSON."""
ONES: dict[str, Callable[[Matrix, str], Object]] = {
    "component": describe_component,
    "release": describe_release,
    "cluster": describe_cluster,
    "profile": describe_profile,
    "rule": describe_rule,
    "edge": describe_edge,
}


class What(click.Choice[str]):
    """What can be shown; anything else is met with what to type."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """One of the choices; UsageError."""
        if value in self.choices:
            return str(value)
        hint = f"for a run use: knowngood show run {value if RUN_ID.match(value) else 'ID'}"
        known = "" if RUN_ID.match(value) else f"known: {', '.join(self.choices)}; "
        raise UsageError(f"{value!r} is nothing to show", hint=f"{known}{hint}")


@click.command("show")
@click.argument(
    "what", type=What([*KINDS, "conflicts", *ONES, "run", *SCHEMAS]), metavar="WHAT", required=False
)
@click.argument("name", required=False)
@click.option(
    "--cluster", metavar="NAME", help="Say of components what can be moved on this cluster, or why not."
)
@matrix_option
@runs_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(settings: Settings, what: str | None, name: str | None, cluster: str | None, output: str) -> int:
    """Show the matrix, a part of it by name, or a run.

    WHAT is components, releases, rules, edges, clusters, profiles or conflicts; with a NAME it is component, release,
    rule, edge, cluster, profile or run. `schemas` lists the schemas of what --output json prints, `schema` with a NAME
    is one.

    \b
    Examples:
      knowngood show releases
      knowngood show release r595
      knowngood show component doca-ofed
      knowngood show components --cluster ams-prod      what can be moved there, or why not
      knowngood show edge openshift      channels, catalogs, steps, risks
      knowngood show conflicts           rules whose sources contradict each other
      knowngood show cluster ams-prod --output json
      knowngood show run                 the newest
      knowngood show schema plan         what plan --output json prints

    \b
    Exit codes: 0 shown, 2 there is no such thing
    """
    if what is None:
        raise UsageError("show what?", hint="knowngood show releases; for a run use: knowngood show run ID")
    if what in SCHEMAS:
        return _schemas(name if what == "schema" else None, asked=what)
    if what == "run":
        return _run(settings, name, output)
    source = load(settings)
    if what == "conflicts":
        conflicts = describe_conflicts(source.matrix)
        say(_json({"conflicts": conflicts}) if output == "json" else page(_conflicts(conflicts)))
        return 0
    if cluster is not None and what != "components":
        raise UsageError(
            "--cluster goes with components", hint=f"knowngood show components --cluster {cluster}"
        )
    if what == "components":
        here = source.cluster(cluster) if cluster else None
        say(_json({"components": _obstacles(source, here)}) if output == "json" else _movables(source, here))
        return 0
    if what in KINDS:
        found = getattr(source.matrix, what)
        if what == "edges":  # a line each: all of them are tens of thousands
            found = [edge_row(edges) for edges in source.matrix.edges.values()]
        say(_json({what: found}) if output == "json" else page(table(TABLES[what](source), width())))
        return 0
    if not name:
        hint = f"knowngood show {what} NAME; knowngood show {what}s lists them"
        raise UsageError(f"which {what}?", hint=hint)
    pick(getattr(source.matrix, f"{what}s"), name, what, source.folder / f"{what}s")
    described = ONES[what](source.matrix, name)
    if output == "json":
        say(_json(described))
        return 0
    if what == "release":
        described["components"] = _brief(described["components"])
    say(page(_described(described)))
    return 0


def _run(settings: Settings, name: str | None, output: str) -> int:
    folder = runs.find(settings.runs, name)
    with runs.reading(folder) as run:
        summary = runs.told(summarise(run.records, run.load), folder)
    say(_json(summary) if output == "json" else summary_text(summary))
    return 0


def _schemas(name: str | None, asked: str) -> int:
    """The names of the published schemas, or one of them; the same whatever --output says."""
    if name is None and asked == "schemas":
        say(page(names()))
        return 0
    if name is None:
        raise UsageError("which schema?", hint="knowngood show schemas lists them")
    if name not in names():
        raise UsageError(f"there is no schema {name!r}", hint=f"known: {', '.join(names())}")
    say(as_json(schema(name)))
    return 0


def _json(value: Any) -> Page:
    return as_json({"schema": SCHEMA, **to_json(value)})


def _movables(source: Source, cluster: Cluster | None) -> Page:
    """All components, whether each can be moved, and what would have to change for the others."""
    return page([*table(_components(source, cluster), width()), *_changes(source, cluster)])


def _components(source: Source, cluster: Cluster | None) -> Rows:
    head = [("component", "class", "scheme", "a move", "undo", "")]
    return head + [
        (
            c.name,
            c.mover.kind if c.mover else "-",
            c.scheme,
            c.disruption,
            c.undo,
            _movable(source, c, cluster),
        )
        for c in source.matrix.components.values()
    ]


def _obstacles(source: Source, cluster: Cluster | None) -> Object:
    """The components as the matrix has them, each with why it can't be moved ("" where it can)."""
    found = source.matrix.components
    return {name: {**to_json(c), **_obstacle(source, c, cluster)} for name, c in found.items()}


def _leader(source: Source, component: Component, cluster: Cluster | None) -> str:
    """With whose move it comes."""
    named = source.matrix.releases[cluster.release].components if cluster else {}
    return comes_with(component, source.matrix.components, cluster, named)


def _found(source: Source, component: Component, cluster: Cluster | None) -> Obstacle | None:
    """What stands in its way; nothing does where it comes with another."""
    return None if _leader(source, component, cluster) else obstacle(component, cluster)


def _obstacle(source: Source, component: Component, cluster: Cluster | None) -> Object:
    found = _found(source, component, cluster)
    return {"obstacle": found.why if found else "", "change": found.change if found else ""}


def _changes(source: Source, cluster: Cluster | None) -> list[str]:
    """What would have to change for what can't be moved, each once."""
    found = [(c.name, f) for c in source.matrix.components.values() if (f := _found(source, c, cluster))]
    lines = ["", "what would have to change"] if found else []
    for change in dict.fromkeys(f.change for _, f in found):
        names = ", ".join(name for name, f in found if f.change == change)
        lines += [*wrapped([("", names)], "  ", WIDTH), *wrapped([("", change)], "    ", WIDTH)]
    return lines


def _movable(source: Source, component: Component, cluster: Cluster | None) -> str:
    if leader := _leader(source, component, cluster):
        return f"comes with {leader}{f', movable on {cluster.name}' if cluster else ''}"
    found = obstacle(component, cluster)
    if found or cluster is None:
        return found.why if found else ""
    once = to_rings(component, cluster)
    return f"movable on {cluster.name}{', by one object for all nodes; rings are no hop' if once else ''}"


def _conflicts(conflicts: list[Object]) -> list[str]:
    """Each conflict with its sides, one a line; the chosen one is marked."""
    lines: list[str] = []
    for one in conflicts:
        state = "decided" if one["decided"] else "open: the stricter holds"
        lines.append(f"{one['name']} ({one['severity']}, {state}), when {_ranges(one['when'])}")
        sides = [
            (_ranges(c["require"]), c["source"], "chosen" if c["source"] == one["decided"] else "")
            for c in one["claims"]
        ]
        lines += columns(sides, "  ")
    return lines or ["no two sources contradict each other"]


def _ranges(ranges: dict[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in ranges.items())


def _releases(source: Source) -> Rows:
    head = [
        ("release", "status", "openshift", "gpu-operator", "network-operator", "nvidia-driver", "profiles")
    ]
    shown = head[0][2:-1]
    return head + [
        (r.name, r.status, *(r.components.get(name, "") for name in shown), ", ".join(r.profiles))
        for r in source.matrix.releases.values()
    ]


def _rules(source: Source) -> Rows:
    return [("rule", "severity", "")] + [
        (r.name, r.severity, r.message) for r in source.matrix.rules.values()
    ]


def _clusters(source: Source) -> Rows:
    head = [("cluster", "release", "profile", "nodes", "rings", "identity")]
    return head + [
        (
            c.name,
            c.release,
            ", ".join(pools_of(c)),
            f"{len(c.gpu)} gpu",
            ", ".join(r.name for r in c.rings),
            "pinned" if c.identity else "not pinned",
        )
        for c in source.matrix.clusters.values()
    ]


def _profiles(source: Source) -> Rows:
    head = [("profile", "product", "gpus", "gates")]
    return head + [
        (p.name, p.product, f"{p.gpus} {p.gpu_model}", ", ".join(p.gates))
        for p in source.matrix.profiles.values()
    ]


def _edges(source: Source) -> Rows:
    rows = [edge_row(edges) for edges in source.matrix.edges.values()]
    return [("component", "versions", "oldest", "newest", "a move is decided by")] + [
        tuple(str(cell) for cell in row.values()) for row in rows
    ]


TABLES: dict[str, Callable[[Source], Rows]] = {
    "edges": _edges,
    "releases": _releases,
    "rules": _rules,
    "clusters": _clusters,
    "profiles": _profiles,
}


def _described(value: Object, indent: str = "") -> list[str]:
    """A description as lines of 80: scalars aligned, lists of objects as a table or blocks, the rest nested."""
    flat = [(key, _cell(v)) for key, v in value.items() if not _nested(v) and v not in ("", [], {})]
    lines = wrapped(flat, indent)
    for key, v in value.items():
        if not _nested(v):
            continue
        lines.append(f"{indent}{key}")
        if isinstance(v, dict):
            lines += _described(v, indent + "  ")
        else:
            lines += _table(v, indent + "  ")
    return lines


def _table(rows: list[Object], indent: str) -> list[str]:
    """Objects as a table where it fits, else a block each: its first cell, and below it what it says."""
    head = tuple(str(name) for name in rows[0])
    lines = columns([head, *(tuple(_cell(x) for x in row.values()) for row in rows)], indent)
    if max(len(line) for line in lines) <= WIDTH:
        return lines
    lines = []
    for row in rows:
        (_, title), *rest = ((key, _cell(v)) for key, v in row.items())
        lines += textwrap.wrap(title, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ")
        lines += wrapped([(key, cell) for key, cell in rest if cell], indent + "  ")
    return lines


def _brief(rows: list[Object]) -> list[Object]:
    """A release's components without what their names say already; `before` only where it has changed."""
    found = [{"name": row["name"], "version": row["version"]} for row in rows]
    if not any(row["changed"] for row in rows):
        return found
    return [
        {**brief, "before": row["before"] if row["changed"] else ""}
        for brief, row in zip(found, rows, strict=True)
    ]


def _nested(value: Any) -> bool:
    return bool(value) and (
        isinstance(value, dict) or (isinstance(value, list) and isinstance(value[0], dict))
    )


def _cell(value: Any) -> str:
    if isinstance(value, dict):
        return str(value["ref"]) if "ref" in value else _ranges(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(v) for v in value)
    return "" if value is None else str(value)
