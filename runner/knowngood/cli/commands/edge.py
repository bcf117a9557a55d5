"""`knowngood edge`: one update, and what is declared for it."""

from __future__ import annotations

import click

from knowngood.cli.edge_lookup import edges_of, known_version
from knowngood.cli.matrix_source import load
from knowngood.cli.options import Settings, debug_option, matrix_option, output_option
from knowngood.cli.terminal import say, say_json
from knowngood.planner.edges.following import edge
from knowngood.report.edges_text import edge_text


@click.command("edge")
@click.argument("component")
@click.argument("start", metavar="FROM")
@click.argument("goal", metavar="TO")
@matrix_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(settings: Settings, component: str, start: str, goal: str, output: str) -> int:
    """Say whether one update exists, and which risks it meets.

    Risks are those declared for this start and this target, whether or not the update exists: `always` hold for every
    cluster, `conditional` where a rule on the cluster says so. Channels are not asked: see `path`.

    \b
    Examples:
      knowngood edge openshift 4.18.21 4.18.22
      knowngood edge gpu-operator 24.6.2 26.7.0 --output json

    \b
    Exit codes: 0 answered, 2 unknown component or version
    """
    known, edges = edges_of(load(settings), component)
    a, b = known_version(known, edges, start), known_version(known, edges, goal)
    found = edge(edges, a, b)
    if output == "json":
        value = {
            "exists": found.exists,
            "kind": found.kind,
            "always": list(found.always),
            "conditional": list(found.conditional),
        }
        say_json(value)
    else:
        say(edge_text(edges, a, b, found))
    return 0
