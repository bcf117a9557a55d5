"""`knowngood support`: which versions of the others go with these."""

from __future__ import annotations

import click

from knowngood.cli.arguments import cluster_option, pairs, profile_option, strange, traits
from knowngood.cli.matrix_source import Source, load, pick
from knowngood.cli.options import Settings, debug_option, matrix_option, output_option
from knowngood.cli.terminal import say, say_json
from knowngood.model.errors import ExitCode, UsageError
from knowngood.planner.rules.known import near
from knowngood.planner.rules.support import MAY_RUN, Support, as_range, inside, related, support
from knowngood.report.check_text import support_json, support_text


@click.command("support")
@click.argument("ranges", metavar="COMPONENT=RANGE...", nargs=-1, required=True)
@click.option(
    "--for",
    "wanted",
    metavar="COMPONENT",
    multiple=True,
    help="Answer for this one only; may be given again.",
)
@profile_option
@cluster_option
@matrix_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(
    settings: Settings,
    ranges: tuple[str, ...],
    wanted: tuple[str, ...],
    profile: str | None,
    cluster: str | None,
    output: str,
) -> int:
    """Which versions of the other components go with these.

    The intersection of all rules, line by line. A shortened version means its line: 26.7 is 26.7.x. A version is
    allowed if some version in each given range suits it. A vendor's documented range is a limit also where its
    rule only warns: `hard` marks those that block. Where sources disagree and the rule only warns, what one of
    them allows is allowed, with that remark.

    \b
    Examples:
      knowngood support gpu-operator=26.7 network-operator=26.4.0
      knowngood support openshift=4.18 --for nvidia-driver --for gpu-operator
      knowngood support 'gpu-operator=>=25.3 <26' --profile hgx-h200 --output json

    \b
    Exit codes: 0 each component has an allowed version, 1 one has none, 2 usage,
      3 each has one, but a version that you gave is in no line that the matrix knows
    """
    source = load(settings)
    given = _versions(source, pairs(source, ranges))
    for name in wanted:
        pick(source.matrix.components, name, "component", source.folder / "components")
        if name in given:
            raise UsageError(f"{name} is given already", hint="--for asks about another component")
    names = wanted or related(source.matrix, given)
    try:
        found = support(source.matrix, given, names, traits(source, profile, cluster))
    except ValueError as error:
        raise UsageError(str(error)) from None
    if output == "json":
        say_json(support_json(found))
    else:
        say(support_text(found))
    for line in strange(source, {name: given[name][0] for name in found.beyond}):
        say(line, err=True)
    if _empty(found):
        return int(ExitCode.REFUSED)
    return int(ExitCode.INCONCLUSIVE if found.beyond else ExitCode.DONE)


def _versions(source: Source, given: dict[str, str]) -> dict[str, tuple[str, ...]]:
    """The known versions in each range; UsageError where there is none."""
    found = {}
    for name, text in given.items():
        try:
            wanted = as_range(source.matrix.components[name].scheme, text)
            found[name] = inside(source.matrix, name, wanted)
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from None
        if not found[name]:
            known = ", ".join(near(source.matrix, name, text)) or "none"
            raise UsageError(f"no known version of {name} lies in {wanted}", hint=f"known are {known}")
    return found


def _empty(found: Support) -> bool:
    """Whether there is a component without an allowed version, although versions of it are known."""
    none = [s for s in found.components if s.lines and not s.names(*MAY_RUN)]
    return bool(found.conflict or none)
