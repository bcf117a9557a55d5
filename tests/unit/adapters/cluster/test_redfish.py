"""BMCs are read by Redfish, the standard's way and Dell's; what can't be read is said, and never the password."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.redfish import ROOT, USER, WORD, Resources, Served, collection, dell, link, plain, served

from knowngood.adapters.cluster.bmcs import RedfishReader
from knowngood.adapters.cluster.redfish import MOST_BYTES, MOST_MEMBERS
from knowngood.model.bmcs import UNASKED, Bmcs, BmcState
from knowngood.model.errors import UsageError
from knowngood.planner.readiness.bmc_jobs import is_over

STAGED = {"Name": "Firmware Update: BIOS", "JobState": "Scheduled", "PercentComplete": 0}
OVER = {"Name": "Export", "JobState": "Completed", "Message": "Job completed.", "PercentComplete": 100}
PENDING = {
    "Name": "Update",
    "TaskState": "UserIntervention",
    "PercentComplete": 100,
    "Messages": [{"Message": "Job completed, server reboot pending"}],
}


@pytest.fixture(autouse=True)
def _word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KNOWNGOOD_BMC", f"{USER}:{WORD}")


def look(at: Served, *, ca: str | None = None, path: str = "") -> BmcState:
    named = Bmcs(f"{at.url}{path}", "env:KNOWNGOOD_BMC", at.ca if ca is None else ca)
    return RedfishReader(named).look(["gpu-1"])["gpu-1"]


def trouble(folder: Path, resources: Resources, status: int = 200) -> str:
    with served(folder, resources) as at:
        at.status = status
        said = look(at).trouble
    assert WORD not in said
    return said


def test_of_the_standard_versions_and_tasks_are_read(tmp_path: Path) -> None:
    with served(tmp_path, plain({"7": {"Name": "Update", "TaskState": "Running"}, "8": PENDING})) as at:
        found = look(at)
    assert found.versions == {"bios": "2.6.3", "bmc": "1.11"}, "an enclosure's manager is no BMC"
    assert [(j.name, j.state, is_over(j)) for j in found.jobs] == [
        ("7", "Running", False),
        ("8", "UserIntervention", False),
    ]
    assert found.jobs[1].message == "Job completed, server reboot pending"


def test_an_idracs_own_queue_is_read_whole_by_one_request(tmp_path: Path) -> None:
    with served(tmp_path, dell({"JID_1": OVER, "JID_2": STAGED})) as at:
        found = look(at)
        asked = at.asked
    assert found.versions == {"bios": "2.6.3", "bmc": "7.20.30.50"}
    assert [(j.name, j.what, j.percent, is_over(j)) for j in found.jobs] == [
        ("JID_1", "Export", 100, True),
        ("JID_2", "Firmware Update: BIOS", 0, False),
    ]
    assert f"{ROOT}/Systems/1" not in asked, "it came with its collection"


def test_a_job_that_is_a_task_too_is_told_once_as_the_one_that_is_not_over(tmp_path: Path) -> None:
    both = {**dell({"JID_2": STAGED}), "/TaskService/Tasks": collection("/TaskService/Tasks/JID_2")}
    both["/TaskService/Tasks/JID_2"] = {"Id": "JID_2", "TaskState": "Completed"}
    with served(tmp_path, both) as at:
        assert [(j.name, j.state) for j in look(at).jobs] == [("JID_2", "Scheduled")]


def test_a_collection_goes_on_behind_its_next_link(tmp_path: Path) -> None:
    pages = plain({"1": {"TaskState": "Completed"}, "2": {"TaskState": "New"}})
    pages["/TaskService/Tasks"] = {
        **collection("/TaskService/Tasks/1"),
        "Members@odata.nextLink": f"{ROOT}/TaskService/More",
    }
    pages["/TaskService/More"] = collection("/TaskService/Tasks/2")
    with served(tmp_path, pages) as at:
        assert [j.name for j in look(at).jobs] == ["1", "2"]


def test_who_is_not_proven_gets_no_password(tmp_path: Path) -> None:
    """Its certificate is nobody's that is trusted: the request, with the password in it, is never sent."""
    with served(tmp_path, plain()) as at:
        assert "SSL" in look(at, ca="").trouble
        assert at.asked == []


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_told_as_that(tmp_path: Path, status: int) -> None:
    assert f"it does not take our credentials ({status})" in trouble(tmp_path, plain(), status)


def test_one_that_is_busy_with_itself_is_not_one_without_jobs(tmp_path: Path) -> None:
    assert "answers 503" in trouble(tmp_path, plain(), 503)


def changed(path: str, value: dict[str, Any]) -> Resources:
    return {**plain(), path: value}


@pytest.mark.parametrize(
    ("resources", "words"),
    [
        (
            changed("/Systems", {"Members": [{"@odata.id": "https://evil.example.com/redfish/v1/x"}]}),
            "links to",
        ),
        (changed("/Systems", {"Members": [{"@odata.id": "/redfish/v1/../admin"}]}), "links to"),
        (changed("/Systems", {"Members": [{"@odata.id": "/redfish/v1x"}]}), "links to"),
        (changed("/Systems", {"Members": ["x"]}), "is no resource"),
        (changed("/Systems", collection("/Systems/gone")), "answers 404"),
        (
            changed("/Systems", {"Members": [{"Id": str(i), "x": 1} for i in range(MOST_MEMBERS + 1)]}),
            "more than",
        ),
        (changed("/Systems/1", {"Id": "1", "BiosVersion": "2" * MOST_BYTES}), "bytes"),
        (
            changed(
                "/Systems", {"Members": [{"Id": "1", "BiosVersion": "1"}, {"Id": "2", "BiosVersion": "2"}]}
            ),
            "BiosVersion of its systems differ: 1, 2",
        ),
        (
            changed("/TaskService/Tasks", {"Members": [], "Members@odata.nextLink": link("/x")["@odata.id"]}),
            "answers 404",
        ),
    ],
)
def test_what_is_not_as_it_must_be_can_not_be_read(tmp_path: Path, resources: Resources, words: str) -> None:
    assert words in trouble(tmp_path, resources)


def test_links_without_an_end_are_left(tmp_path: Path) -> None:
    endless = changed("/TaskService/Tasks", {"Members": [], "@odata.nextLink": f"{ROOT}/TaskService/Tasks"})
    assert "its Tasks do not end" in trouble(tmp_path, endless)


def test_a_bmc_that_is_away_says_so_without_the_password() -> None:
    away = Bmcs("https://127.0.0.1:1/{node}", "env:KNOWNGOOD_BMC")
    found = RedfishReader(away).look(["gpu-1"])["gpu-1"].trouble
    assert "NewConnectionError" in found
    assert WORD not in found


def test_credentials_that_are_not_there_are_an_error_that_names_the_reference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = Bmcs("https://127.0.0.1:1/{node}", "env:KNOWNGOOD_BMC")
    monkeypatch.setenv("KNOWNGOOD_BMC", WORD)
    with pytest.raises(UsageError, match=r"env:KNOWNGOOD_BMC is not NAME:PASSWORD") as told:
        RedfishReader(at).look(["gpu-1"])
    assert WORD not in str(told.value)
    monkeypatch.delenv("KNOWNGOOD_BMC")
    with pytest.raises(UsageError, match="is empty"):
        RedfishReader(at).look(["gpu-1"])


def test_where_no_bmcs_are_named_nobody_is_asked() -> None:
    assert RedfishReader(UNASKED).look(["gpu-1"]) == {}


def test_each_node_has_its_own() -> None:
    assert Bmcs("https://{node}-bmc.example.com/").of_node("gpu-1") == "https://gpu-1-bmc.example.com"
