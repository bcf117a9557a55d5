"""A screen that is drawn again until what it shows has ended."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from rich.console import Console
from rich.live import Live
from rich.text import Text

from knowngood.cli.terminal import say
from knowngood.model.errors import Inconclusive
from knowngood.model.text import page

EVERY = 2.0
"""Seconds between two looks: each asks the cluster two questions."""
Look = Callable[[], tuple[str, bool]]
"""The text, and whether it is the last."""


def watch(look: Look, *, plain: bool = False, every: float = EVERY) -> None:
    """Draw it in place on a terminal, and print each new line elsewhere; Ctrl-C ends it as the end does.

    What the first look meets is raised; later a cluster that is away for a while is said, and asked again.
    """
    look = _outlasting(look)
    with suppress(KeyboardInterrupt):
        if plain or not sys.stdout.isatty():
            _lines(look, every)
        else:
            _live(look, every)


def _outlasting(look: Look) -> Look:
    answered = False

    def again() -> tuple[str, bool]:
        nonlocal answered
        try:
            found = look()
        except Inconclusive as error:
            if not answered:
                raise
            return page([f"the cluster does not answer: {error}"]), False
        answered = True
        return found

    return again


def _live(look: Look, every: float) -> None:
    with Live(console=Console(), auto_refresh=False) as live:
        while True:
            text, ended = look()
            live.update(Text(text), refresh=True)
            if ended:
                return
            time.sleep(every)


def _lines(look: Look, every: float) -> None:
    """What is new since the last look; times that only count on are no news by themselves."""
    said: set[str] = set()
    while True:
        text, ended = look()
        fresh = [line for line in text.splitlines() if line and _news(line) not in said]
        said |= {_news(line) for line in fresh}
        if fresh:
            say(page(fresh))
        if ended:
            return
        time.sleep(every)


_COUNTS = re.compile(r"\d+(\.\d+)? (s|min|h|d)\b")


def _news(line: str) -> str:
    """A line without its durations: what counts is that it says something else."""
    return _COUNTS.sub("", line)
