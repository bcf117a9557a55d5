"""A runner killed at any moment of a flash: whoever resumes follows what goes on, and nothing is flashed twice."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.flashing import BIOS, BMC, NEW_BIOS, NEW_BMC, USER, Desk, flashing
from tests.unit.adapters.machines import NODE, RUN

from knowngood.adapters.cluster import redfish as wire
from knowngood.adapters.movers import looking
from knowngood.adapters.nodes.batch import ClaimLost, NodeFailed
from knowngood.twin.bmc import DELL, DMTF

FIRST = ((DELL, "bios", NEW_BIOS), (DMTF, "bmc", NEW_BMC))
"""The one that is staged and comes with a boot, and the one whose jobs are forgotten; the others are played beside."""
ALL = [
    *FIRST,
    pytest.param((DMTF, "bios", NEW_BIOS), marks=pytest.mark.exhaustive),
    pytest.param((DELL, "bmc", NEW_BMC), marks=pytest.mark.exhaustive),
]
BACK = {"bios": BIOS, "bmc": BMC}


class Killed(BaseException):
    """SIGKILL: nothing catches it."""


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LONGEST_PAUSE", 0.02)
    monkeypatch.setenv("KNOWNGOOD_BMC", USER)


class Killing:
    """Counts what a runner does, and kills it before or after that."""

    def __init__(self, desk: Desk, patch: pytest.MonkeyPatch) -> None:
        self.at, self.after, self.seen = -1, False, 0
        real = wire.Bmc.ask

        def ask(bmc: wire.Bmc, method: str, *more: Any, **named: Any) -> wire.Answer:
            if method == "GET":
                return real(bmc, method, *more, **named)
            self._moment(before=True)
            found = real(bmc, method, *more, **named)
            self._moment(before=False)
            return found

        patch.setattr(wire.Bmc, "ask", ask)

        def write(method: str, _where: str) -> None:
            if method != "GET":
                self._moment(before=True)

        desk.kube.before.append(write)

    def _moment(self, *, before: bool) -> None:
        if before:
            self.seen += 1
        if self.seen - 1 == self.at and before is not self.after:
            self.at = -1
            raise Killed


def moments(folder: Path, patch: pytest.MonkeyPatch, place: tuple[str, str, str]) -> int:
    dialect, component, version = place
    folder.mkdir()
    with flashing(folder, dialect) as desk, patch.context() as own:
        killing = Killing(desk, own)
        desk.bring(component, version)
        return killing.seen


def scenes(
    folder: Path, patch: pytest.MonkeyPatch, place: tuple[str, str, str]
) -> Iterator[tuple[str, Desk]]:
    """A runner that was killed at each of its writes, before it and after it."""
    dialect, component, version = place
    for at in range(moments(folder / "calm", patch, place)):
        for after in (False, True):
            where = folder / f"{at}-{after}"
            where.mkdir()
            with flashing(where, dialect) as desk, patch.context() as own:
                desk.limits = replace(desk.limits, operand_age=0.2)
                killing = Killing(desk, own)
                killing.at, killing.after = at, after
                try:
                    desk.bring(component, version)
                except Killed:
                    yield f"{'after' if after else 'before'} write {at}", desk


@pytest.mark.parametrize("place", ALL, ids="-".join)
def test_killed_at_any_write_the_next_runner_ends_it_and_begins_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[str, str, str]
) -> None:
    _, component, version = place
    seen = 0
    for at, desk in scenes(tmp_path, monkeypatch, place):
        seen += 1
        came = desk.bring(component, version)
        assert came.marks[component].version == desk.bmc.versions[component] == version, at
        assert desk.bmc.begun == [f"{component} {version}"], at
        assert (desk.note, desk.bmc.staged) == (None, {}), at
        assert desk.boots <= 1, at
    assert seen > 4


@pytest.mark.parametrize("place", ALL, ids="-".join)
def test_killed_at_any_write_the_way_back_lets_it_end_and_leaves_nothing_for_a_later_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: tuple[str, str, str]
) -> None:
    _, component, _ = place
    for at, desk in scenes(tmp_path, monkeypatch, place):
        desk.bring(component, BACK[component])
        assert desk.bmc.versions == {"bios": BIOS, "bmc": BMC}, at
        assert (desk.note, desk.bmc.staged) == (None, {}), at
        desk.served.does(desk.bmc.booted)
        assert desk.bmc.versions == {"bios": BIOS, "bmc": BMC}, f"{at}: a later boot brings nothing"


def test_a_runner_whose_node_was_taken_over_asks_its_bmc_for_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with flashing(tmp_path, DELL) as desk:
        newer = f"{RUN}/9"

        def taken(method: str, where: str) -> None:
            obj = desk.kube.objects[f"/api/v1/nodes/{NODE}"]
            if method == "POST" and where.endswith("/leases"):
                obj["metadata"]["annotations"]["knowngood.dev/claim"] = newer
                desk.kube.put(f"/api/v1/nodes/{NODE}", obj)

        desk.kube.before.append(taken)
        with pytest.raises(ClaimLost):
            desk.bring("bios", NEW_BIOS)
        assert (desk.bmc.begun, desk.bmc.resets) == ([], [])


def test_a_note_that_can_not_be_read_begins_nothing(tmp_path: Path) -> None:
    with flashing(tmp_path, DELL) as desk:
        obj = desk.kube.objects[f"/api/v1/nodes/{NODE}"]
        obj["metadata"]["annotations"]["knowngood.dev/flash"] = "{"
        desk.kube.put(f"/api/v1/nodes/{NODE}", obj)
        with pytest.raises(NodeFailed, match="look at its BMC, then take it off"):
            desk.bring("bios", NEW_BIOS)
        assert desk.bmc.begun == []
