"""`knowngood path`: one component's way from a version to a version."""

from __future__ import annotations

import difflib

import click

from knowngood.cli.edge_lookup import edges_of, known_version
from knowngood.cli.matrix_source import load
from knowngood.cli.options import Settings, debug_option, matrix_option, output_option
from knowngood.cli.terminal import say, say_json
from knowngood.model.errors import Refused, UsageError
from knowngood.model.graph import Edges
from knowngood.model.matrix import Disruption
from knowngood.planner.edges.no_path import why_not
from knowngood.planner.edges.path import CHANNELS, Path, minor, path, rebooting
from knowngood.report.edges_text import path_text


@click.command("path")
@click.argument("component")
@click.option("--from", "start", metavar="VERSION", required=True, help="What runs.")
@click.option("--to", "goal", metavar="VERSION", required=True, help="What shall run.")
@click.option(
    "--channel",
    type=click.Choice(CHANNELS),
    default="stable",
    show_default=True,
    help="OpenShift's update channel.",
)
@click.option(
    "--accept-risk",
    "accepted",
    metavar="NAME",
    multiple=True,
    help="Use hops with this risk, though it holds for every cluster. May be repeated.",
)
@click.option(
    "--openshift", metavar="MINOR", default="", help="An operator's catalog: of this minor.  [default: any]"
)
@matrix_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(
    settings: Settings,
    component: str,
    start: str,
    goal: str,
    channel: str,
    accepted: tuple[str, ...],
    openshift: str,
    output: str,
) -> int:
    """Find one component's way from a version to a version.

    Fewest hops, then the highest versions on the way. On OpenShift a hop of stable, fast or candidate needs both ends
    in the channel of its target's minor; eus keeps the whole way in the goal's eus channel, where a pair of minors
    costs one reboot of each worker. Hops with a risk that holds for every cluster are avoided unless accepted. For an
    operator the catalogs decide, and the vendor's step rule.

    \b
    Examples:
      knowngood path openshift --from 4.18.30 --to 4.22.9
      knowngood path openshift --from 4.20.14 --to 4.22.9 --channel eus --output json
      knowngood path openshift --from 4.20.14 --to 4.22.9 --channel eus --accept-risk EtcdStorageVersion3Migration
      knowngood path gpu-operator --from 24.6.2 --to 26.7.0
      knowngood path network-operator --from 25.4.0 --to 26.4.1 --openshift 4.18

    \b
    Exit codes: 0 there is a path, 1 there is none, and why, 2 unknown component, version, risk or minor
    """
    known, edges = edges_of(load(settings), component)
    a, b = known_version(known, edges, start), known_version(known, edges, goal)
    _check(edges, accepted, openshift)
    channel = channel if edges.graph else ""
    scheme = known.scheme
    found = path(edges, scheme, a, b, channel, accepted, openshift=openshift)
    if found is None:
        why = why_not(edges, scheme, a, b, channel, accepted, openshift=openshift)
        raise Refused(f"no path from {component} {a} to {b}: {why.reason}", hint=why.hint)
    if not edges.graph and known.disruption in (Disruption.REBOOT, Disruption.POWER_CYCLE):
        found = rebooting(found)
    if output == "json":
        say_json(_json(component, (a, b), channel, found))
    else:
        say(path_text(edges, (a, b), channel, found))
    return 0


def _check(edges: Edges, accepted: tuple[str, ...], openshift: str) -> None:
    for name in accepted:
        if name not in edges.risks:
            near = difflib.get_close_matches(name, edges.risks, n=3)
            raise UsageError(
                f"no risk {name!r} of {edges.component} is known",
                hint=f"near it: {', '.join(near)}" if near else "",
            )
    if openshift and not edges.catalogs:
        raise UsageError(
            f"no catalog of {edges.component} is known, so --openshift says nothing", hint="leave it out"
        )
    if openshift and minor(openshift) not in edges.catalogs:
        raise UsageError(
            f"no catalog of {edges.component} is known for OpenShift {openshift}",
            hint=f"known: {', '.join(edges.catalogs)}",
        )


def _json(component: str, ends: tuple[str, str], channel: str, found: Path) -> dict[str, object]:
    return {
        "component": component,
        "from": ends[0],
        "to": ends[1],
        "channel": channel,
        "hops": [{"from": h.start, "to": h.to, "kind": h.kind, "risks": list(h.risks)} for h in found.hops],
        "worker_reboots": found.worker_reboots,
    }
