"""Calls the command line in this process, as `main` does, and keeps what it said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO

from knowngood.cli.main import run


@dataclass(frozen=True)
class Said:
    """Exit code and both streams."""

    code: int
    out: str
    err: str


@contextmanager
def streams() -> Iterator[tuple[StringIO, StringIO]]:
    out, err = StringIO(), StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        yield out, err


def knowngood(*args: object) -> Said:
    with streams() as (out, err):
        code = run([str(a) for a in args])
    return Said(code, out.getvalue(), err.getvalue())
