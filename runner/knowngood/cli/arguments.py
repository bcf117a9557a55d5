"""`COMPONENT=VERSION` arguments, and whose traits the rules are asked with."""

from __future__ import annotations

from collections.abc import Mapping

import click

from knowngood.cli.matrix_source import Source, pick
from knowngood.model.errors import UsageError
from knowngood.planner.rules.evaluation import Traits, traits_of, traits_on
from knowngood.planner.rules.known import beyond, known_versions, near
from knowngood.planner.spelling import plain
from knowngood.planner.version import is_whole

profile_option = click.option(
    "--profile", metavar="NAME", help="A hardware profile: rules about hardware can be told."
)
cluster_option = click.option(
    "--cluster", metavar="NAME", help="A cluster: rules about its hardware and its kind can be told."
)


def pairs(source: Source, arguments: tuple[str, ...]) -> dict[str, str]:
    """Component -> what stands after the first `=`, as the matrix writes it; UsageError."""
    found: dict[str, str] = {}
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not equals or not text.strip():
            raise UsageError(f"{argument!r} is no COMPONENT=VERSION", hint="like gpu-operator=26.7.0")
        component = pick(source.matrix.components, name, "component", source.folder / "components")
        if name in found:
            raise UsageError(f"{name} is given twice", hint="give one version of it")
        found[name] = plain(component.scheme, text)
    return found


def exact(source: Source, given: Mapping[str, str]) -> None:
    """UsageError where one is not an exact version of its component."""
    for name, text in given.items():
        scheme = source.matrix.components[name].scheme
        known = ", ".join(near(source.matrix, name, text))
        hint = f"known are {known}" if known else ""
        try:
            whole = is_whole(scheme, text)
        except ValueError as error:
            raise UsageError(f"{name}: {error}", hint=hint) from None
        if not whole:
            raise UsageError(
                f"{name}={text} is a line of versions, not one",
                hint="; ".join(filter(None, (hint, "knowngood support answers for lines and ranges"))),
            )


def strange(source: Source, given: Mapping[str, str]) -> list[str]:
    """A line for each version of no line that is known: where no rule forbids it, that is no yes."""
    told = []
    for name in (n for n, version in given.items() if beyond(source.matrix, n, version)):
        known = known_versions(source.matrix, name)
        nearest = ", ".join(near(source.matrix, name, given[name]))
        told.append(
            f"{name} {given[name]} is in no line that the matrix knows, so no rule may know of it: "
            f"known are {known[0]} to {known[-1]}; nearest: {nearest}"
        )
    return told


def traits(source: Source, profile: str | None, cluster: str | None) -> Traits:
    """What is known of hardware and cluster; nothing where neither is named."""
    if cluster:
        found = source.cluster(cluster)
        hardware = source.hardware(found)
        there = {one.name: one for one in hardware.profiles}
        if profile and profile not in there:
            raise UsageError(
                f"{cluster} has profile {', '.join(there)}, not {profile}", hint="name one of the two"
            )
        return traits_of(there[profile], found) if profile else traits_on(hardware, found)
    if profile:
        return traits_of(pick(source.matrix.profiles, profile, "profile", source.folder / "profiles"), None)
    return {}
