"""A recording's edits played on a twin, and both held against each other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

from tests.integration.replay.cluster import CALM_POLLS, Replay, raised
from tests.integration.replay.compare import Difference, differences
from tests.integration.replay.normal import Fields
from tests.integration.replay.recording import Line, Step, read, steps

from knowngood.twin.behaviours.context import Controller
from knowngood.twin.behaviours.kube import POD
from knowngood.twin.seed import Seed
from knowngood.twin.values import Object


def _as_they_are(lines: list[Line], _known: Iterable[Line]) -> list[Line]:
    return lines


def _unrelated(_line: Line) -> Iterable[tuple[str, str]]:
    return ()


async def _as_noted(_replay: Replay, note: str) -> str:
    return note


@dataclass(frozen=True)
class Stage:
    """One set of recordings: on which cluster they are played, by what, and how they are read.

    perform: does what an EDIT line says. saw: a note of the recording's test, as the twin would have it.
    kinds: the fields of interest. renamed: lines with names that mean something, given all lines that are known
    of the same source. strands: in which orders a line stands (`compare.differences`).
    """

    plan: Seed
    controllers: Sequence[type[Controller]]
    kinds: Mapping[str, Fields]
    perform: Callable[[Replay, str], Awaitable[None]]
    saw: Callable[[Replay, str], Awaitable[str]] = _as_noted
    there: Sequence[Object] = ()
    definitions: Sequence[Object] = ()
    renamed: Callable[[list[Line], Iterable[Line]], list[Line]] = _as_they_are
    strands: Callable[[Line], Iterable[tuple[str, str]]] = _unrelated
    scale: float = 600.0
    polls: int = CALM_POLLS


def held_against(
    real: Sequence[Line], stage: Stage, before: Sequence[str], folder: Path, known: Iterable[Line] = ()
) -> list[Difference]:
    """What differs between a recording and the twin under the same edits.

    before: edits that lead to where the recording begins. known: lines of recordings that say what names mean.
    """
    begun, played = asyncio.run(_play(steps(real), stage, before, folder))
    theirs = stage.renamed(list(real), [*known, *real])
    return differences(steps(theirs), steps(stage.renamed(played, [*begun, *played])), stage.strands)


def held_in_a_row(scenarios: Sequence[str], stage: Stage, folder: Path) -> dict[str, list[Difference]]:
    """The same for recordings that were taken one after the other of one cluster, which is raised once."""
    recorded = {scenario: read(scenario) for scenario in scenarios}
    played = asyncio.run(_play_all([steps(lines) for lines in recorded.values()], stage, folder))
    return {
        scenario: differences(
            steps(stage.renamed(list(real), real)), steps(stage.renamed(lines, lines)), stage.strands
        )
        for (scenario, real), lines in zip(recorded.items(), played, strict=True)
    }


def lines_of(scenarios: Iterable[str]) -> list[Line]:
    """All lines of these recordings."""
    return [line for scenario in scenarios for line in read(scenario)]


async def _play(
    edits: Sequence[Step], stage: Stage, before: Sequence[str], folder: Path
) -> tuple[list[Line], list[Line]]:
    """What the twin wrote before the recording begins, and under its edits."""
    async with _cluster(stage, folder) as replay:
        for what in before:
            await stage.perform(replay, what)
            await replay.calm(stage.polls)
        begun = replay.recorder.lines
        return begun, await _perform(replay, stage, edits)


async def _play_all(scenarios: Iterable[Sequence[Step]], stage: Stage, folder: Path) -> list[list[Line]]:
    """What the twin wrote under the edits of each."""
    async with _cluster(stage, folder) as replay:
        return [await _perform(replay, stage, edits) for edits in scenarios]


def _cluster(stage: Stage, folder: Path) -> AbstractAsyncContextManager[Replay]:
    return raised(
        folder,
        stage.plan,
        stage.controllers,
        stage.kinds,
        there=stage.there,
        definitions=stage.definitions,
        scale=stage.scale,
    )


async def _perform(replay: Replay, stage: Stage, edits: Iterable[Step]) -> list[Line]:
    replay.recorder.begin(replay.twin.cache.all(POD))
    for step in edits:
        replay.recorder.edit(step.what)
        await stage.perform(replay, step.what)
        await replay.calm(stage.polls)
        for note in step.notes:
            replay.recorder.edit(await stage.saw(replay, note))
    return replay.recorder.lines
