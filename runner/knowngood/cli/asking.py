"""A person's yes before anything is changed."""

from __future__ import annotations

import sys

from knowngood.cli.terminal import agreed
from knowngood.model.errors import Refused, UsageError
from knowngood.model.plan import Plan


def confirm(plan: Plan, *, yes: bool) -> None:
    """Ask a person, unless --yes. Refused on anything but yes."""
    ask(f"Move {plan.cluster} from {plan.from_release} to {plan.to_release}?", yes=yes)


def ask(question: str, *, yes: bool) -> None:
    """Ask a person, unless --yes. Refused on anything but yes, UsageError where nobody is there."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise UsageError("nobody is there to say yes", hint="--yes goes on without asking")
    if not agreed(question):
        raise Refused("not confirmed; nothing was changed")
