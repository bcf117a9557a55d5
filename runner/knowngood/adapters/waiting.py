"""Work and waiting told apart: what a loop asks from its second look on is waiting, and its requests say so.

A fleet's API server is asked once for what is done to a node, and again and again until something happens. Only the
first grows with what we do; so the two are counted apart (User-Agent `… (waiting)`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")
_AGAIN: ContextVar[bool] = ContextVar("again", default=False)


def is_waiting() -> bool:
    """Whether what is asked now was asked before, by the same loop."""
    return _AGAIN.get()


@contextmanager
def waiting(again: bool = True) -> Iterator[None]:
    """What is asked inside is waiting, if `again`; inside another wait it stays so."""
    token = _AGAIN.set(again or _AGAIN.get())
    try:
        yield
    finally:
        _AGAIN.reset(token)


@contextmanager
def working() -> Iterator[None]:
    """What is done inside is done once, although a wait does it: what it waited for has happened."""
    token = _AGAIN.set(False)
    try:
        yield
    finally:
        _AGAIN.reset(token)


def with_hands(work: Callable[[A], B], things: Sequence[A], hands: int) -> list[B]:
    """Do something with each, `hands` at the same time; they wait if the caller does."""
    if not things:
        return []
    contexts = [copy_context() for _ in things]
    with ThreadPoolExecutor(max_workers=min(hands, len(things))) as pool:
        return list(pool.map(lambda context, thing: context.run(work, thing), contexts, things))
