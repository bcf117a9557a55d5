"""`knowngood plan`: what an upgrade would do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import click

from knowngood.adapters.upstream.olm_catalog import catalog
from knowngood.cli.matrix_source import Source, load
from knowngood.cli.options import Settings, debug_option, history_option, matrix_option, output_option
from knowngood.cli.terminal import SCHEMA, say, width
from knowngood.cli.try_again import warned
from knowngood.matrix.observed import read_observed
from knowngood.model.errors import UsageError
from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Cluster
from knowngood.model.plan import Plan
from knowngood.model.text import as_json
from knowngood.planner.edges.path import CHANNELS
from knowngood.planner.plan.case import Declared, GivenCatalog, Wishes
from knowngood.planner.plan.planning import plan, refuse_unmovable
from knowngood.report.plan_text import hop_text, plan_text

FILE = click.Path(path_type=Path, dir_okay=False)
_MINOR = re.compile(r"([0-9]+\.[0-9]+)(?:\.[0-9]+)?", re.ASCII)
"""An OpenShift minor; a whole version is shortened to it."""


@click.command("plan")
@click.argument("cluster", required=False)
@click.option("--cluster", "named", metavar="CLUSTER", help="The same as the argument.")
@click.option("--to", "release", metavar="RELEASE", required=True, help="The release to go to.")
@click.option(
    "--from-git", is_flag=True, help="Read what Git declares, instead of trusting the pinned release."
)
@click.option(
    "--from-file",
    metavar="OBSERVED",
    type=FILE,
    help="What really runs: a YAML or JSON file of component: version.",
)
@click.option(
    "--catalog",
    "catalogs",
    metavar="COMPONENT[@MINOR]=FILE",
    multiple=True,
    help="The OLM catalog that the cluster really has, now or from an OpenShift minor on; may be repeated.",
)
@click.option(
    "--channel",
    type=click.Choice(CHANNELS),
    default="stable",
    show_default=True,
    help="OpenShift's update channel; eus pauses the workers over odd minors.",
)
@click.option(
    "--accept-risk", "accepted", metavar="NAME", multiple=True, help="Go where this risk is; may be repeated."
)
@click.option(
    "--out",
    metavar="FILE",
    type=FILE,
    help="Keep the plan, made from Git, for `upgrade --plan`; with --kubeconfig also what the nodes run.",
)
@click.option("--explain", metavar="HOP", help="Everything about one hop, such as hop-3.")
@history_option
@matrix_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(  # noqa: PLR0913, PLR0917 (one parameter an option)
    settings: Settings,
    cluster: str | None,
    named: str | None,
    release: str,
    from_git: bool,
    from_file: Path | None,
    catalogs: tuple[str, ...],
    channel: str,
    accepted: tuple[str, ...],
    out: Path | None,
    explain: str | None,
    output: str,
) -> int:
    """Say what an upgrade would do, and what it would take to undo it.

    The cheapest order of hops in which every state in between keeps every blocking rule: fewest hops that can't be
    undone, that have no canary, reboots, drains, hops, risks, in this order. Hops that can't be undone come last.
    Reads the matrix, with --from-git the GitOps repository, and with --kubeconfig what runs on this cluster say of the
    release; changes nothing. `upgrade` makes the same plan, from Git, shows it and asks.

    \b
    Examples:
      knowngood plan ams-prod --to r595
      knowngood plan --cluster ams-prod --to r595 --from-git --output json
      knowngood plan ams-prod --to r595 --kubeconfig ~/.kube/ams-prod --out ams-prod.plan.json
      knowngood plan ams-prod --to h200-4.22-r595 --from-file observed.yaml --explain hop-3
      knowngood plan ams-prod --to r595 --catalog gpu-operator=catalog.yaml --catalog gpu-operator@4.19=next.yaml

    \b
    Exit codes: 0 there is a plan, 1 a rule forbids it or there is none, 2 a name or a file is wrong,
      3 Git did not answer, or it could not be told
    """
    source = load(settings)
    name = _one(cluster, named)
    from_git = from_git or (out is not None and _keepable(from_file, catalogs))
    found = source.cluster(name)
    wishes = Wishes(
        channel=channel,
        accepted=frozenset(_risk(source, risk) for risk in accepted),
        observed=read_observed(from_file, source.matrix).versions if from_file else {},
        catalogs=dict(_catalog(source, text) for text in catalogs),
    )
    declared = _declared(found) if from_git else None
    made = plan(source.matrix, name, release, declared=declared, wishes=wishes)
    if from_git:
        made = replace(made, warnings=(*made.warnings, *_required(found, made)))
    made = warned(source, made, settings.kubeconfig)
    if out is not None:
        _keep(out, source, made, settings.kubeconfig)
    if explain is not None:
        hop = next((h for h in made.hops if h.name == explain), None)
        if hop is None:
            known = ", ".join(h.name for h in made.hops) or "none"
            raise UsageError(f"the plan has no hop {explain!r}", hint=f"its hops: {known}")
        text = as_json({"schema": SCHEMA, **to_json(hop)}) if output == "json" else hop_text(made, hop)
    else:
        text = as_json({"schema": SCHEMA, **to_json(made)}) if output == "json" else plan_text(made, width())
    say(text)
    return 0


def _keepable(from_file: Path | None, catalogs: tuple[str, ...]) -> bool:
    """That a kept plan is made from Git. UsageError for what an upgrade does not go by."""
    for option, given in (("--from-file", from_file), ("--catalog", catalogs)):
        if given:
            raise UsageError(
                f"{option} does not go with --out: an upgrade goes by what Git declares and the matrix says",
                hint=f"look at that plan without --out, or leave {option} away",
            )
    return True


def _keep(out: Path, source: Source, made: Plan, kubeconfig: Path | None) -> None:
    """Write the plan into a file. Refused where an upgrade would not make it."""
    from knowngood.cli.plan_file import write  # noqa: PLC0415 (as below)

    refuse_unmovable(made)
    write(out, source, made, kubeconfig)


def _declared(cluster: Cluster) -> Declared:
    """What Git declares; the clients of Git and clusters are imported only for this."""
    from knowngood.cli.wiring import declared_versions  # noqa: PLC0415 (0.2 s that a plan from files need not wait)

    return declared_versions(cluster)


def _required(cluster: Cluster, made: Plan) -> Iterator[str]:
    """What Git says otherwise than it must, so that the upgrade would be refused."""
    from knowngood.cli.wiring import required_in_git  # noqa: PLC0415 (as above)

    yield from map(str, required_in_git(cluster, made))


def _one(argument: str | None, option: str | None) -> str:
    """The cluster's name, given once."""
    if argument and option and argument != option:
        raise UsageError(f"two clusters are named: {argument} and {option}", hint="name one")
    name = argument or option
    if not name:
        raise UsageError("no cluster is named", hint="knowngood plan CLUSTER --to RELEASE")
    return name


def _risk(source: Source, name: str) -> str:
    """A risk that the matrix knows."""
    known = sorted(risk for edges in source.matrix.edges.values() for risk in edges.risks)
    if name not in known:
        near = [k for k in known if name.lower() in k.lower()][:3]
        raise UsageError(
            f"there is no risk {name!r}",
            hint=f"did you mean {' or '.join(near)}?" if near else "knowngood show edge openshift",
        )
    return name


def _catalog(source: Source, text: str) -> tuple[tuple[str, str], GivenCatalog]:
    """COMPONENT[@MINOR]=FILE as ((component, minor), catalog)."""
    left, sign, file = text.partition("=")
    component, at, minor = left.partition("@")
    if not sign or not file:
        raise UsageError(f"--catalog {text}: COMPONENT=FILE is expected", hint="gpu-operator=catalog.yaml")
    if component not in source.matrix.components:
        raise UsageError(f"--catalog {text}: there is no component {component!r}")
    with_catalogs = sorted(name for name, edges in source.matrix.edges.items() if edges.catalogs)
    if component not in with_catalogs:
        known = ", ".join(with_catalogs) or "no component"
        raise UsageError(
            f"--catalog {text}: no catalog decides on {component}", hint=f"catalogs are known of {known}"
        )
    found = _MINOR.fullmatch(minor)
    if at and found is None:
        raise UsageError(
            f"--catalog {text}: {minor!r} is no OpenShift minor", hint=f"{component}@4.18={file}"
        )
    given = catalog(Path(file), source.matrix.edges[component].package)
    return (component, found[1] if found else ""), GivenCatalog(given, file)
