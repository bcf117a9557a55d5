"""A BMC is given an image once, followed, and believed by what then runs: DMTF's dialect and an iDRAC's."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.flashing import BIOS, BMC, NEW_BIOS, NEW_BMC, USER, Desk, flashing, named
from tests.unit.adapters.machines import NODE, RUN

from knowngood.adapters.movers import looking
from knowngood.adapters.nodes.batch import NodeFailed, NotTold
from knowngood.model.bmcs import FirmwareImage
from knowngood.twin.bmc import DELL, DMTF, Bmc

FORTH = [("bios", NEW_BIOS), ("bmc", NEW_BMC)]
BACK = {"bios": BIOS, "bmc": BMC}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looking, "LONGEST_PAUSE", 0.02)
    monkeypatch.setenv("KNOWNGOOD_BMC", USER)


@pytest.fixture(params=[DMTF, DELL])
def desk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Desk]:
    with flashing(tmp_path, request.param) as found:
        yield found


@pytest.fixture
def idrac(tmp_path: Path) -> Iterator[Desk]:
    with flashing(tmp_path, DELL) as found:
        yield found


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Desk]:
    with flashing(tmp_path, DMTF) as found:
        yield found


@pytest.mark.parametrize(("component", "version"), FORTH)
def test_it_comes_by_one_image_is_proven_and_goes_back_the_same_way(
    desk: Desk, component: str, version: str
) -> None:
    came = desk.bring(component, version)
    assert (came.restarted, came.marks[component].version) == (True, version)
    assert desk.bmc.versions[component] == version
    assert desk.bmc.begun == [f"{component} {version}"]
    assert desk.boots == (1 if component == "bios" else 0), "the BMC's own leaves the host alone"
    assert (desk.note, desk.bmc.staged) == (None, {}), "nothing is left"
    assert [holder for holder, _ in desk.lease()] == [""]
    again = desk.bring(component, version)
    assert (again.restarted, len(desk.bmc.begun)) == (False, 1), "found, not flashed again"
    back = desk.bring(component, BACK[component])
    assert (back.restarted, desk.bmc.versions[component]) == (True, BACK[component])


def test_an_idrac_is_pushed_the_proven_image_and_another_one_fetches_it(tmp_path: Path) -> None:
    for dialect, link in ((DELL, "/upload"), (DMTF, "/UpdateService.SimpleUpdate")):
        (tmp_path / dialect).mkdir()
        with flashing(tmp_path / dialect, dialect) as desk:
            desk.bring("bios", NEW_BIOS)
            posted = [path for method, path in desk.served.service.asked if method == "POST"]
            assert posted[0].endswith(link)


def test_a_job_of_somebody_else_is_named_and_nothing_is_begun(desk: Desk) -> None:
    desk.served.does(desk.bmc.stage_foreign)
    with pytest.raises(NotTold, match=r"not of this run: job .*by a colleague"):
        desk.bring("bios", NEW_BIOS)
    assert (desk.bmc.begun, desk.bmc.resets, desk.boots, desk.note) == ([], [], 0, None)


@pytest.mark.parametrize(
    ("fault", "component", "version", "words"),
    [
        ("bmc-task-exception", "bios", NEW_BIOS, "Unable to verify Update Package signature"),
        ("bmc-task-exception", "bmc", NEW_BMC, "Unable to verify Update Package signature"),
        ("job-stuck-at-scheduled", "bios", NEW_BIOS, "and it was booted since, and it runs 2.6.3"),
        ("bios-staged-not-running", "bios", NEW_BIOS, "and it was booted since, and it runs 2.6.3"),
        ("bmc-refuses-downgrade", "bios", NEW_BIOS, "2.7.4 is not allowed by the downgrade policy"),
    ],
)
def test_what_the_bmc_says_against_it_is_measured_and_the_way_back_leaves_nothing(
    desk: Desk, fault: str, component: str, version: str, words: str
) -> None:
    desk.faults[fault] = 1
    with pytest.raises(NodeFailed, match=words) as error:
        desk.bring(component, version)
    assert not isinstance(error.value, NotTold)
    desk.faults.clear()
    desk.bring(component, BACK[component])
    assert desk.bmc.versions == {"bios": BIOS, "bmc": BMC}
    assert (desk.note, desk.bmc.staged) == (None, {})
    assert not [job for job in desk.bmc.jobs.values() if job.state in {"Scheduled", "Pending"}]


def test_a_bmc_that_runs_the_older_firmware_after_its_own_start_fails(idrac: Desk) -> None:
    idrac.faults["bmc-burned-not-running"] = 1
    with pytest.raises(NodeFailed, match=r"and it was reset since, and it runs 7\.20\.30\.50"):
        idrac.bring("bmc", NEW_BMC)
    assert idrac.bmc.resets == ["manager GracefulRestart"], "it is given one start of its own"


def test_a_bmc_that_does_not_come_back_says_nothing_of_its_firmware(desk: Desk) -> None:
    desk.faults["bmc-does-not-come-back"] = 1
    with pytest.raises(NotTold, match="its BMC can't be read"):
        desk.bring("bmc", NEW_BMC)
    assert [holder for holder, _ in desk.lease()] == [f"{RUN}/{NODE}"], "no other BMC of its domain is begun"
    assert desk.lease()[0][1] >= desk.limits.apply, "and that outlives the flash"


def test_an_idrac_that_answers_with_errors_for_a_while_is_waited_for(idrac: Desk) -> None:
    """iDRAC-Redfish-Scripting issue 231."""
    idrac.faults["idrac-goes-away"] = 1
    assert idrac.bring("bmc", NEW_BMC).restarted


def test_one_that_is_busy_is_asked_again_and_in_the_end_not_told(idrac: Desk) -> None:
    """iDRAC-Redfish-Scripting issue 70."""
    idrac.faults["lifecycle-controller-busy"] = 2
    assert idrac.bring("bios", NEW_BIOS).restarted
    assert idrac.bmc.begun == [f"bios {NEW_BIOS}"]
    idrac.faults["lifecycle-controller-busy"] = 10**6
    with pytest.raises(NotTold, match="Lifecycle Controller is currently in use"):
        idrac.bring("bios", BIOS)
    assert idrac.note is None


def test_a_job_that_is_complete_and_wants_a_boot_is_staged(idrac: Desk) -> None:
    """iDRAC-Redfish-Scripting issue 266."""
    idrac.faults["job-reboot-pending"] = 1
    assert idrac.bring("bios", NEW_BIOS).restarted
    assert idrac.bmc.resets == ["system GracefulRestart"]


def test_one_that_boots_the_host_by_itself_is_not_reset_as_well(idrac: Desk) -> None:
    """iDRAC-Redfish-Scripting issues 136 and 166."""
    idrac.faults["reboots-by-itself"] = 1
    assert idrac.bring("bios", NEW_BIOS).restarted
    assert (idrac.boots, idrac.bmc.resets) == (1, [])


def test_a_reset_that_is_not_heeded_is_asked_for_once_more_by_force(plain: Desk) -> None:
    plain.faults["reset-is-not-heeded"] = 1
    assert plain.bring("bios", NEW_BIOS).restarted
    assert plain.bmc.resets == ["system GracefulRestart", "system ForceRestart"]


@pytest.mark.parametrize(
    ("data", "words"),
    [(None, "is not there"), (b"another", "is another one: its SHA-256 is")],
)
def test_an_image_that_is_missing_or_another_one_is_never_given(
    desk: Desk, data: bytes | None, words: str
) -> None:
    name = named("bios", NEW_BIOS)
    desk.served.service.images.pop(name)
    if data is not None:
        desk.served.service.images[name] = data
    with pytest.raises(NotTold, match=words):
        desk.bring("bios", NEW_BIOS)
    assert (desk.bmc.begun, desk.note) == ([], None)


def test_a_version_without_an_image_and_a_cluster_without_bmcs_are_told(plain: Desk) -> None:
    with pytest.raises(NotTold, match=r"bmcs\.images names no image of bios 9\.9"):
        plain.bring("bios", "9.9")
    with pytest.raises(NotTold, match="names no BMCs"):
        plain.bring("bios", NEW_BIOS, bmcs=replace(plain.bmcs, at=""))


def test_no_error_has_the_password(plain: Desk) -> None:
    plain.bmcs = replace(
        plain.bmcs, images={"bios": {NEW_BIOS: FirmwareImage("https://127.0.0.1:1/x.bin", "0" * 64)}}
    )
    with pytest.raises(NotTold, match="the image can't be read") as error:
        plain.bring("bios", NEW_BIOS)
    assert "s3cret" not in str(error.value)
    assert hashlib.sha256(b"").hexdigest() not in str(error.value)


def test_two_bmcs_of_one_failure_domain_are_never_away_at_the_same_time(tmp_path: Path) -> None:
    async def nothing(_cause: str) -> None:
        return

    other = Bmc(DELL, {"bios": BIOS, "bmc": BMC}, boots=nothing)
    with flashing(tmp_path, DELL, others={"gpu-2": other}) as desk:
        put = desk.kube.objects["/api/v1/nodes/gpu-1"]
        desk.kube.put("/api/v1/nodes/gpu-2", {**put, "metadata": {"name": "gpu-2", "labels": {"rack": "r1"}}})
        machines = (NODE, "gpu-2")
        other.away = True
        with pytest.raises(NotTold, match="the BMC of gpu-2, of its failure domain, can't be read"):
            desk.bring("bmc", NEW_BMC, machines=machines)
        assert desk.bmc.begun == []
        racked = replace(desk.bmcs, domain="rack")
        with pytest.raises(NotTold, match="its failure domain can't be told: it has no label rack"):
            desk.bring("bmc", NEW_BMC, machines=machines, bmcs=racked)
        put["metadata"]["labels"]["rack"] = "r2"
        desk.kube.put("/api/v1/nodes/gpu-1", put)
        assert desk.bring("bmc", NEW_BMC, machines=machines, bmcs=racked).restarted, (
            "another rack's is its own affair"
        )
        assert desk.bring("bios", NEW_BIOS, machines=machines).restarted, "a BIOS takes no BMC away"
