"""`knowngood check`: may these versions run together?"""

from __future__ import annotations

import click

from knowngood.cli.arguments import cluster_option, exact, pairs, profile_option, strange, traits
from knowngood.cli.matrix_source import load
from knowngood.cli.options import Settings, debug_option, matrix_option, output_option
from knowngood.cli.terminal import say, say_json
from knowngood.model.errors import ExitCode
from knowngood.planner.rules.check import Answer, check
from knowngood.report.check_text import check_json, check_text

CODES = {Answer.YES: ExitCode.DONE, Answer.NO: ExitCode.REFUSED, Answer.UNKNOWN: ExitCode.INCONCLUSIVE}


@click.command("check")
@click.argument("versions", metavar="COMPONENT=VERSION...", nargs=-1, required=True)
@profile_option
@cluster_option
@matrix_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(
    settings: Settings, versions: tuple[str, ...], profile: str | None, cluster: str | None, output: str
) -> int:
    """May these versions run together? Every rule that speaks, and the nearest that pass.

    Where a blocking rule says no, the nearest combination that passes follows: as few components changed as can be,
    by as little as can be. Kubernetes and the kernel follow OpenShift; a version that you give wins.

    \b
    Examples:
      knowngood check gpu-operator=26.3.2 network-operator=26.4.0 --profile hgx-h200
      knowngood check openshift=4.18.22 gpu-operator=25.3.2 --cluster ams-prod --output json

    \b
    Exit codes: 0 no blocking rule is broken, 1 a blocking rule says no, 2 usage,
      3 a blocking rule can't be told: name more components, or --profile or --cluster;
        or a version is in no line that the matrix knows, and no rule forbids it
    """
    source = load(settings)
    given = pairs(source, versions)
    exact(source, given)
    found = check(source.matrix, given, traits(source, profile, cluster))
    if output == "json":
        say_json(check_json(found))
    else:
        say(check_text(found))
    for line in strange(source, given):
        say(line, err=True)
    return int(CODES[found.answer])
