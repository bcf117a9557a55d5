"""The one place where a command speaks: no text leaves for a terminal or a job's log by another way (a house test)."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import click

from knowngood.model.text import ENDLESS, Page, as_json, page, printable

NAME = "knowngood"


def width() -> int:
    """Columns of the terminal; no end of them where there is none, so that a line stays one for `grep`."""
    return shutil.get_terminal_size((ENDLESS, 24)).columns


def program() -> str:
    """What a person types to call this program again: `make demo` runs one that no PATH has."""
    called = Path(sys.argv[0])
    found = called.name == NAME and not shutil.which(NAME) and called.is_file()
    return os.path.relpath(called) if found else NAME


def say(text: str, *, err: bool = False) -> None:
    """A Page of a report, or one line. stdout is the result, stderr (`err`) is talk."""
    click.echo(text if isinstance(text, Page) else page([text]), err=err, nl=False)


SCHEMA = 1
"""Of all that is printed as JSON: what is added keeps the number, what changes its meaning or goes raises it."""


def say_json(value: Mapping[str, object]) -> None:
    """A JSON object on stdout, with the number of its published schema (`knowngood show schema NAME`)."""
    click.echo(as_json({"schema": SCHEMA, **value}), nl=False)


def say_sarif(value: Mapping[str, object]) -> None:
    """SARIF on stdout, whose schema is not ours."""
    click.echo(as_json(value), nl=False)


def say_orders(lines: Iterable[str]) -> None:
    """Workflow commands on stdout: the only lines that a job's runner shall obey. Made by `report.problems`."""
    for line in lines:
        click.echo(printable(line))


def hear_libraries() -> None:
    """Let what libraries log (a credential plugin's last words, a retry) leave by this way, too.

    Where none of them has imported `logging` there is nothing to hear, and it is not imported for that.
    """
    logging = sys.modules.get("logging")
    if logging is None:
        return
    root = logging.getLogger()
    if any(getattr(handler, "says", None) is say for handler in root.handlers):
        return
    handler = logging.Handler(logging.WARNING)
    handler.says = say
    handler.emit = lambda record: say(f"{record.name}: {record.getMessage()}", err=True)
    root.addHandler(handler)


def agreed(question: str) -> bool:
    """A person's yes or no, asked on stderr."""
    return click.confirm(printable(question), err=True)
