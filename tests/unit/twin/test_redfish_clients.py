"""The twin's BMCs speak Redfish well enough for a second, independent client, sushy: it flashes a BIOS by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sushy
from sushy import auth
from tests.flashing import BIOS, BMC, NEW_BIOS, USER, Served, named, serving

from knowngood.twin.bmc import DELL, DMTF, Bmc

NAME, _, WORD = USER.partition(":")
AUTHS: dict[str, Callable[[], auth.AuthBase]] = {
    "basic": lambda: auth.BasicAuth(NAME, WORD),
    "session": lambda: auth.SessionAuth(NAME, WORD),
}


def a_bmc(dialect: str) -> Bmc:
    async def boot(_cause: str) -> None:
        bmc.booted()

    bmc = Bmc(dialect, {"bios": BIOS, "bmc": BMC}, boots=boot)
    return bmc


@contextmanager
def client(at: Served, how: str = "basic") -> Iterator[sushy.Sushy]:
    """Signed out at its end: else it does so when it is collected, and asks a server that is gone for half a minute."""
    signed_in = AUTHS[how]()
    try:
        yield sushy.Sushy(at.url, verify=at.ca, auth=signed_in)
    finally:
        signed_in.close()


def until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)


@pytest.mark.parametrize("dialect", [DELL, DMTF])
@pytest.mark.parametrize("how", AUTHS)
def test_it_reads_what_runs_of_either_dialect(tmp_path: Path, dialect: str, how: str) -> None:
    with serving(tmp_path, {"": a_bmc(dialect)}) as at, client(at, how) as root:
        (system,) = root.get_system_collection().get_members()
        (manager,) = root.get_manager_collection().get_members()
        assert (system.bios_version, manager.firmware_version) == (BIOS, BMC)
        assert sushy.ResetType.GRACEFUL_RESTART in system.get_allowed_reset_system_values()
        inventory = root.get_update_service().firmware_inventory.get_members()
        assert {one.version for one in inventory} == {BIOS, BMC}


def test_it_flashes_a_bios_by_its_task_and_a_reset(tmp_path: Path) -> None:
    bmc = a_bmc(DMTF)
    with serving(tmp_path, {"": bmc}) as at, client(at) as root:
        image = f"{at.url}/images/{named('bios', NEW_BIOS)}"
        monitor = root.get_update_service().simple_update(image)
        task = monitor.get_task()
        assert task.name == "Firmware Update: BIOS"

        def over() -> bool:
            task.refresh(force=True)
            return bool(task.task_state == sushy.TASK_STATE_COMPLETED)

        until(over)
        (system,) = root.get_system_collection().get_members()
        system.reset_system(sushy.ResetType.FORCE_RESTART)
        until(lambda: bmc.versions["bios"] == NEW_BIOS)
        system.refresh(force=True)
        assert (system.bios_version, bmc.resets) == (NEW_BIOS, ["system ForceRestart"])
