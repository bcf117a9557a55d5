"""`knowngood exposure`: what runs although it is known to be bad, and for how long."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from itertools import chain
from pathlib import Path

import click

from knowngood.adapters.gitops.matrix_history import Held, history
from knowngood.cli.arguments import traits
from knowngood.cli.matrix_source import Source, load
from knowngood.cli.options import Settings, debug_option, matrix_option, output_option
from knowngood.cli.terminal import say, say_json
from knowngood.matrix.observed import read_observed
from knowngood.model.errors import ExitCode, UsageError
from knowngood.model.matrix import ReleaseStatus
from knowngood.model.text import page
from knowngood.planner.rules.exposure import Cause, Exposure, Running, Since, exposure
from knowngood.report.exposure_text import exposure_json, exposure_text

BY_FILE = "by the file"


@click.command("exposure")
@click.option("--cluster", metavar="NAME", help="This cluster only.  [default: all of the matrix]")
@click.option(
    "--from-file",
    "observed",
    metavar="OBSERVED",
    type=click.Path(path_type=Path),
    help="What runs, as component: version; instead of the pinned release.",
)
@click.option("--since", metavar="DATE", help="Since when that runs, YYYY-MM-DD.")
@click.option("--as-of", metavar="DATE", help="Count to this day.  [default: today]")
@click.option(
    "--all", "every", is_flag=True, help="Also risks that mean nothing for a bare-metal GPU cluster."
)
@matrix_option
@output_option("text", "json")
@debug_option
@click.pass_obj
def command(
    settings: Settings,
    cluster: str | None,
    observed: Path | None,
    since: str | None,
    as_of: str | None,
    every: bool,
    output: str,
) -> int:
    """Which running versions a risk, a rule or a revocation hits, and since when.

    The exposure window is in days. A cluster runs what its file pins, since the commit that pinned it;
    --from-file and --since say otherwise. A risk is known since its declaration, a revocation since its commit;
    a blocking rule since the commit that brought it into the matrix. For a risk the answer also says how long
    each channel offered the version before anybody knew.

    \b
    Examples:
      knowngood exposure
      knowngood exposure --cluster ams-prod --output json
      knowngood exposure --from-file seen.yaml --since 2025-08-20 --as-of 2025-09-10

    \b
    Exit codes: 0 nothing is hit, 1 something is, 2 usage, 3 nothing is, but a blocking rule can't be told
    """
    source = load(settings)
    today = _day(as_of, "--as-of") or datetime.now(UTC).date().isoformat()
    given = _day(since, "--since")
    if given > today:
        raise UsageError(f"--since {given} lies after {today}", hint="name the day since when it runs")
    places = [
        _running(source, name, observed, given)
        for name in ([cluster] if cluster else [""] if observed else source.matrix.clusters)
    ]
    _refuse_future(places, today)
    found = _found(source, places, today)
    if output == "json":
        say_json({"exposures": [exposure_json(e, today) for e in found]})
    else:
        say(page(chain.from_iterable((exposure_text(e, today, every=every), "") for e in found)))
    return int(_code(found))


def _refuse_future(places: list[Running], today: str) -> None:
    """A day in the observed file that lies after the day that is counted to. A pin is newer than an old --as-of."""
    for place in places:
        for name, since in place.since.items():
            if since.how == BY_FILE and since.day > today:
                hint = "name the day since when it runs"
                raise UsageError(f"since of {name}: {since.day} lies after {today}", hint=hint)


def _found(source: Source, places: list[Running], today: str) -> list[Exposure]:
    """What hits each place. Git is asked only about rules that are broken: each question takes a moment."""
    found = [exposure(source.matrix, place, today) for place in places]
    broken = {h.name for e in found for h in e.hits if h.cause is Cause.RULE}
    if not broken:
        return found
    held = {name: history(source.folder, f"rules/{name}.yaml", "severity") for name in sorted(broken)}
    days = {name: values[0].day for name, values in held.items() if values}
    return [exposure(source.matrix, replace(place, ruled_on=days), today) for place in places]


def _code(found: list[Exposure]) -> ExitCode:
    if any(e.hits for e in found):
        return ExitCode.REFUSED
    return ExitCode.INCONCLUSIVE if any(e.unknown for e in found) else ExitCode.DONE


def _running(source: Source, name: str, observed: Path | None, given: str) -> Running:
    """What runs there, and since when."""
    cluster = source.cluster(name) if name else None
    release = source.release(cluster.release) if cluster else None
    known = traits(source, None, name or None)
    revoked = _revoked_on(source)
    if observed is not None:
        seen = read_observed(observed, source.matrix)
        days = {n: _day(d, f"since of {n}") for n, d in seen.since.items()}
        named = {n: Since(d, BY_FILE) for n, d in days.items()}
        every = Since(given, "by --since") if given else Since()
        since = {n: named.get(n, every) for n in (*seen.versions, "")}
        return Running(name or str(observed), seen.versions, since, known, None, revoked)
    if cluster is None or release is None:
        raise UsageError("nothing to look at", hint="name --cluster or --from-file")
    pins = history(source.folder, f"clusters/{name}.yaml", "release")
    since = {n: Since(given, "by --since") if given else _pinned(source, pins, n) for n in release.components}
    since[""] = Since(given, "by --since") if given else _pinned(source, pins, "")
    return Running(name, release.components, since, known, release, revoked)


def _pinned(source: Source, pins: tuple[Held, ...], component: str) -> Since:
    """Since when the pins name the component's present version; "": since when they name the present release."""
    found = Since()
    present = ""
    for pin in pins:
        release = source.matrix.releases.get(pin.value)
        value = pin.value if not component else release.components.get(component, "") if release else ""
        present = present or value
        if not value or value != present:
            break
        found = Since(pin.day, f"pinned in commit {pin.commit[:12]}", at_least=pin.first)
    return found


def _revoked_on(source: Source) -> dict[str, str]:
    """Revoked release -> the day of the commit that revoked it."""
    days: dict[str, str] = {}
    for release in source.matrix.releases.values():
        if release.status is ReleaseStatus.REVOKED:
            held = history(source.folder, f"releases/{release.name}.yaml", "status")
            days |= {release.name: held[0].day} if held else {}
    return days


def _day(text: str | None, what: str) -> str:
    """YYYY-MM-DD, "" where nothing is given; UsageError."""
    if not text:
        return ""
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise UsageError(f"{what}: {text!r} is no day", hint="write it like 2025-08-20") from None
