"""A person's yes before anything is changed."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from knowngood.cli.options import Settings
from knowngood.cli.terminal import agreed, say
from knowngood.model.errors import ExitCode, Refused, UsageError
from knowngood.model.plan import Plan
from knowngood.planner.consent import Consent

F = TypeVar("F", bound=Callable[..., Any])


def consent_options(function: F) -> F:
    """`--try-again`, `--accept-no-canary`, `--accept-forward-only`, as one `consent`."""

    @click.option(
        "--try-again", is_flag=True, help="Go there although it failed here, or on this hardware, before."
    )
    @click.option(
        "--accept-no-canary",
        "no_canary",
        metavar="COMPONENT",
        multiple=True,
        help="Move it although no canary goes first and no other cluster of this hardware has proven it.",
    )
    @click.option(
        "--accept-forward-only", "forward_only", is_flag=True, help="Go where there is no way back."
    )
    @functools.wraps(function)
    def asked(
        *args: Any, try_again: bool, no_canary: tuple[str, ...], forward_only: bool, **rest: Any
    ) -> Any:
        return function(*args, consent=Consent(frozenset(no_canary), forward_only, try_again), **rest)

    return asked  # type: ignore[return-value]


def confirm(plan: Plan, *, yes: bool) -> None:
    """Ask a person, unless --yes. Refused on anything but yes."""
    ask(f"Move {plan.cluster} from {plan.from_release} to {plan.to_release}?", yes=yes)


def end_if_dry(what: str) -> None:
    """End the command well before its first write, where --dry-run says so; `what` it would have done or asked."""
    settings = click.get_current_context().find_object(Settings)
    if settings is not None and settings.dry_run:
        say(f"dry run, so nothing was written: {what}", err=True)
        raise click.exceptions.Exit(int(ExitCode.DONE))


def ask(question: str, *, yes: bool) -> None:
    """Ask a person, unless --yes. Refused on anything but yes, UsageError where nobody is there.

    With --dry-run this is the command's end, and all is well.
    """
    end_if_dry(question)
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to say yes", hint="--yes goes on without asking")
    if not agreed(question):
        raise Refused("not confirmed; nothing was changed")
