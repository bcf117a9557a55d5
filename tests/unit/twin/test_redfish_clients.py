"""The twin's BMCs speak Redfish well enough for a second, independent client, sushy: it flashes a BIOS by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sushy
import urllib3
from sushy import auth
from tests.flashing import BIOS, BMC, NEW_BIOS, USER, Served, named, serving

from knowngood.twin.bmc import DELL, DMTF, Bmc
from knowngood.twin.redfish_resources import ROOT, resources

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


def test_a_tasks_monitor_tells_when_it_is_over(tmp_path: Path) -> None:
    bmc, held = a_bmc(DMTF), asyncio.Event()

    async def wait(_seconds: float) -> None:
        await held.wait()

    bmc.sleep = wait
    with serving(tmp_path, {"": bmc}) as at, client(at) as root:

        def begun() -> sushy.taskmonitor.TaskMonitor:
            image = f"{at.url}/images/{named('bios', NEW_BIOS)}"
            task = root.get_update_service().simple_update(image).get_task()
            return root.get_task_monitor(task.json["TaskMonitor"])

        monitor = begun()
        assert monitor.is_processing
        assert monitor.task.task_state == sushy.TASK_STATE_RUNNING
        at.does(held.set)
        until(lambda: not monitor.check_is_processing)
        assert monitor.response.status_code == 204
        bmc.struck = lambda name, _version: name == "bmc-task-exception"
        with pytest.raises(sushy.exceptions.BadRequestError, match="signature"):
            until(lambda: not begun().is_processing)


def test_whoever_is_signed_in_is_listed_without_the_secret(tmp_path: Path) -> None:
    bmc, other = a_bmc(DMTF), a_bmc(DMTF)
    with serving(tmp_path, {"": bmc, "other": other}) as at:
        with client(at, "session") as root:
            (one,) = root.get_session_service().sessions.get_members()
            assert bmc.sessions.keys() == {one.identity}
            assert one.identity not in bmc.sessions.values()
        assert (bmc.sessions, other.sessions) == ({}, {}), "signed out"
        bmc.sessions["1"] = "its-token"
        path = "redfish/v1/SessionService/Sessions"
        codes = {
            (where, token): urllib3.PoolManager(ca_certs=at.ca)
            .request("HEAD", f"{at.url}/{where}{path}", headers={"X-Auth-Token": token})
            .status
            for where in ("", "other/")
            for token in ("its-token", "")
        }
        assert codes == {
            ("", "its-token"): 200,
            ("", ""): 401,
            ("other/", "its-token"): 401,
            ("other/", ""): 401,
        }


@pytest.mark.parametrize("dialect", [DELL, DMTF])
def test_each_answer_says_what_its_path_takes_and_the_rest_is_refused(tmp_path: Path, dialect: str) -> None:
    """DSP0266: the Allow header is of GET, HEAD and 405."""
    bmc = a_bmc(dialect)
    bmc.stage_foreign()
    bmc.sessions["4711"] = "its-token"
    with serving(tmp_path, {"": bmc}) as at, urllib3.PoolManager(ca_certs=at.ca) as pool:
        headers = urllib3.make_headers(basic_auth=USER)

        def asked(method: str, link: str) -> tuple[int, str]:
            answer = pool.request(method, f"{at.url}{link}", headers=headers)
            return answer.status, answer.headers.get("Allow", "")

        for link, body in resources(bmc).items():
            status, takes = asked("GET", link)
            assert (status, asked("HEAD", link)) == (200, (200, takes)), link
            assert asked("PATCH", link) == (405, takes), link
            kind = body["@odata.type"].rpartition(".")[2]
            assert ("DELETE" in takes) == (kind in {"Session", "Task", "DellJob"}), link
            assert ("POST" in takes) == (kind == "SessionCollection"), link
            for action in body.get("Actions", {}).values():
                assert asked("GET", action["target"]) == (405, "POST")
        assert asked("GET", f"{ROOT}/Nothing") == (404, "")
        if dialect == DELL:
            assert asked("GET", f"{ROOT}/UpdateService/upload") == (405, "POST")
