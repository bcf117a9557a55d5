"""How a run that was played is told: what mends it, and the exit code of how it ended, whatever can't be written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from tests.unit.engine.fake_cluster import FakeDelivery
from tests.unit.engine.fakes import FakeCheckpoint
from tests.unit.engine.fakes import ports as fakes
from tests.unit.engine.scene import a_cluster, a_hardware, a_plan, a_standard, a_world
from tests.unit.engine.world import World

from knowngood.adapters.journal import FileJournal
from knowngood.cli import play as play_module
from knowngood.cli.wiring import Place
from knowngood.engine.ports import Ports
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.destination import HERE
from knowngood.model.errors import ExitCode, Interrupted, Unreachable, UsageError
from knowngood.model.field import FieldChange
from knowngood.model.state import RunState
from knowngood.ports.cancel import Cancel
from knowngood.report.summary import Summary

RUN = "r20260822-030000-cccc"


class LoggedOut(FakeDelivery):
    def wait(self, commit: str, changes: Sequence[FieldChange], deadline: float, cancel: Cancel) -> float:
        if changes:
            raise UsageError("the API server does not know our credentials (401)", hint="log in again")
        return super().wait(commit, changes, deadline, cancel)


class Deaf(FakeCheckpoint):
    """Away when the end is to be written."""

    def save(self, state: RunState, *, heed: bool = False) -> str:
        if state.end:
            raise Unreachable("no answer")
        return super().save(state, heed=heed)


Played = Callable[[Callable[[World, Ports], Ports]], Summary]


@pytest.fixture
def played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Played:
    """Plays a run whose ports a test has changed."""
    world, matrix = a_world(), load(matrix_dir())
    world.standard = a_standard
    place = Place(
        matrix_folder=matrix_dir(),
        matrix=matrix,
        cluster=a_cluster(),
        hardware=a_hardware(),
        release=next(iter(matrix.releases.values())),
        kubeconfig=tmp_path / "none",
        folder=tmp_path / RUN,
        run_id=RUN,
        record=HERE,
    )

    def go(change: Callable[[World, Ports], Ports]) -> Summary:
        @contextmanager
        def opened(*_: object) -> Iterator[Ports]:
            with FileJournal(place.folder) as journal:
                yield change(world, replace(fakes(world), journal=journal))

        monkeypatch.setattr(play_module, "ports", opened)
        return play_module.play(place, a_plan(), quiet=True)

    return go


def logged_out(world: World, ports: Ports) -> Ports:
    return replace(ports, delivery=LoggedOut(world))


def test_an_interruption_says_what_mends_it_and_then_how_to_go_on(played: Played) -> None:
    """To resume alone would meet the same refusal again."""
    with pytest.raises(Interrupted) as stopped:
        played(logged_out)
    assert stopped.value.hint == f"log in again; then knowngood resume {RUN}"


def test_reports_that_a_full_disk_does_not_take_change_no_exit_code(
    played: Played, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(self: Path, *_: object, **__: object) -> int:
        raise OSError(28, "No space left on device", str(self))

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(Interrupted):
        played(logged_out)
    assert "summary.json can't be written: No space left on device" in capsys.readouterr().err


def test_an_end_that_the_cluster_did_not_take_is_said(
    played: Played, capsys: pytest.CaptureFixture[str]
) -> None:
    """Others see an open run, and are refused because of it."""
    summary = played(lambda world, ports: replace(ports, checkpoint=Deaf(world)))
    assert summary.exit_code == ExitCode.DONE
    said = capsys.readouterr().err
    assert f"others still see run {RUN} as open" in said
    assert f"knowngood resume {RUN} writes it" in said
