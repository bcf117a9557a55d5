"""An operator of OLM v0 moves: exactly the named plan is approved, and it has arrived when everything says so."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.integration.adapters.olm_moves import KEY, Desk, declared, moving, on_olm
from tests.integration.twin.behaviour import SPACE, Play
from tests.integration.twin.olm_stage import (
    CONTENT,
    GPU,
    NFD,
    approve,
    bundle,
    change,
    channel,
    phase,
    planned,
    plans,
    status,
    subscribe,
    up_to,
)

from knowngood.model.errors import CouldNot, LockHeld, Refused
from knowngood.model.mover import FleetState
from knowngood.model.names import APPROVED_ANNOTATION
from knowngood.twin.behaviours.olm_objects import CATALOG, PLAN, SERVICE_VERSION
from knowngood.twin.behaviours.olm_packages import PACKAGE

STEP = moving("26.3.3", "26.7.0")
TARGET = f"{GPU}.v26.7.0"


def _approved_by(stage: Play) -> str:
    annotations = plans(stage)[TARGET,]["metadata"].get("annotations") or {}
    return str(annotations.get(APPROVED_ANNOTATION, ""))


def test_the_plan_of_the_version_is_approved_once_and_has_arrived_when_all_of_it_is_there(
    tmp_path: Path,
) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.3")
        assert await desk.found(STEP) == ""
        await declared(stage, "26.7.0")
        assert "InstallPlan" in await desk.start(STEP)
        await stage.until("the plan says whose approval it is", lambda: _approved_by(stage) == KEY)
        assert (await desk.settled(STEP)).done
        assert phase(stage, TARGET) == "Succeeded"
        assert [c["metadata"]["name"] for c in stage.twin.cache.all(SERVICE_VERSION, SPACE)] == [TARGET]
        assert await desk.start(STEP) == "", "a second time there is nothing to do"
        assert await desk.state(STEP) == FleetState("26.7.0", "26.7.0")
        assert await desk.left(STEP) == []

    on_olm(tmp_path, story)


def test_a_version_that_is_called_installed_has_not_arrived_before_it_has_succeeded(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.3")
        await stage.fault("olm-install-times-out", package=GPU)
        await declared(stage, "26.7.0")
        await desk.start(STEP)
        await stage.until("it is called installed", lambda: status(stage).get("installedCSV") == TARGET)
        await stage.until("it fails", lambda: phase(stage, TARGET) == "Failed")
        look = await desk.looked(STEP)
        assert TARGET in look.waiting, "OLM tries such a version again"
        state = await desk.state(STEP)
        assert (state.running, TARGET in state.busy) == ("", True)
        await stage.clear()
        assert (await desk.settled(STEP)).done

    on_olm(tmp_path, story)


def test_a_version_in_no_group_has_failed_for_good(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.3")
        await declared(stage, "26.7.0")
        await planned(stage, TARGET)
        group = {"apiVersion": "operators.coreos.com/v1", "kind": "OperatorGroup", "spec": {}}
        await stage.client.create({**group, "metadata": {"name": "second", "namespace": SPACE}})
        await desk.start(STEP)
        look = await desk.settled(STEP)
        assert "TooManyOperatorGroups" in look.failed

    on_olm(tmp_path, story)


def test_a_plan_that_carries_a_strangers_version_is_not_approved(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.3")
        await stage.fault("olm-plan-carries-more", package=GPU)
        await planned(stage, "neighbour-operator.v1.0.0")
        await stage.until(
            "it waits", lambda: status(stage, "neighbour-operator").get("state") == "UpgradePending"
        )
        assert "neighbour-operator: it waits with neighbour-operator.v1.0.0" in await desk.found(STEP)
        await declared(stage, "26.7.0")
        with pytest.raises(Refused, match=r"carries neighbour-operator\.v1\.0\.0 beside") as refused:
            await desk.start(STEP)
        assert "first, by the Subscription that wants it" in refused.value.hint
        assert not any(plan["spec"]["approved"] for names, plan in plans(stage).items() if TARGET in names)

    on_olm(tmp_path, story)


def test_of_two_plans_that_name_the_version_the_subscriptions_own_is_approved(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.3")
        await declared(stage, "26.7.0")
        await planned(stage, TARGET)
        await stage.until("it waits", lambda: status(stage).get("currentCSV") == TARGET)
        await subscribe(stage, NFD, "stable", "4.18.0")
        both = await planned(stage, TARGET, f"{NFD}.v4.18.0")
        await desk.start(STEP)
        assert (await desk.settled(STEP)).done
        assert not stage.get(PLAN, both["metadata"]["name"])["spec"]["approved"]
        assert await desk.left(STEP) == [f"{SPACE}/{both['metadata']['name']}"], (
            "approved later it would install it"
        )

    on_olm(tmp_path, story)


def test_a_version_that_the_catalog_lacks_is_refused_before_anything_starts(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.3")
        assert "channel v26.7 does not hold gpu-operator-certified.v26.7.9" in await desk.found(
            moving("26.3.3", "26.7.9")
        )
        assert "it has no channel v27.1" in await desk.found(moving("26.3.3", "27.1.0"))
        assert "could not be brought back" in await desk.found(moving("26.3.3", "26.3.1"), undo=True)

    on_olm(tmp_path, story)


def test_a_catalog_that_is_away_is_not_known_to_lack_anything(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.3")
        await stage.client.patch(CATALOG, "cat", {"spec": {"address": "elsewhere:50051"}}, SPACE)
        await stage.until("it is away", lambda: not stage.twin.cache.all(PACKAGE, SPACE))
        assert "offers no package" in await desk.found(STEP, undo=True)
        assert await desk.verdicts(STEP) == {"inconclusive"}

    on_olm(tmp_path, story)


def test_a_newer_plan_of_a_catalog_that_moved_is_not_approved(tmp_path: Path) -> None:
    newer = [*CONTENT, channel(GPU, "v26.7", "26.3.3", "26.7.1"), bundle(GPU, "26.7.1")]
    newer = [row for row in newer if row["name"] not in {"v26.7", TARGET}] + newer[-2:-1]

    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.3")
        assert await desk.found(STEP) == ""
        await stage.client.patch(CATALOG, "cat", {"spec": {"address": "moved:50051"}}, SPACE)
        await declared(stage, "26.7.0")
        with pytest.raises(Refused, match=f"carries {GPU}.v26.7.1, not {TARGET}"):
            await desk.start(STEP)
        await declared(stage, "26.3.3")
        left = await desk.left(STEP)
        assert await desk.back(moving("26.7.0", "26.3.3")) == "", "nothing was installed"
        assert left == [], "it names no version of this move"

    on_olm(tmp_path, story, catalogs={"catalog:50051": CONTENT, "moved:50051": newer})


def test_a_plan_that_waits_since_before_keeps_olm_from_making_ours(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.2")
        await planned(stage, f"{GPU}.v26.3.3")
        await stage.until("it waits", lambda: status(stage).get("currentCSV") == f"{GPU}.v26.3.3")
        leap = moving("26.3.2", "26.7.0")
        assert f"waits with {GPU}.v26.3.3, so OLM makes none for {TARGET}" in await desk.found(leap)
        await declared(stage, "26.7.0")
        with pytest.raises(Refused, match=f"carries {GPU}.v26.3.3, not {TARGET}"):
            await desk.start(leap)

    on_olm(tmp_path, story)


def test_a_bundle_that_can_not_be_unpacked_makes_no_plan_and_is_told(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.3")
        await stage.fault("bundle-unpack-fails", package=GPU)
        await declared(stage, "26.7.0")
        with pytest.raises(CouldNot, match="BundleUnpackFailed"):
            await desk.start(STEP)
        assert "BundleUnpackFailed" in await desk.found(STEP)
        assert "BundleUnpackFailed" in (await desk.looked(STEP)).waiting

    on_olm(tmp_path, story)


def test_nothing_is_approved_before_the_live_subscription_carries_the_commit_or_under_anothers_lease(
    tmp_path: Path,
) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.2")
        with pytest.raises(CouldNot, match=f"startingCSV is {GPU}.v26.3.2, not"):
            await desk.start(moving("26.3.2", "26.3.3"))
        await declared(stage, "26.3.3")
        lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "spec": {"holderIdentity": "run-2"}}
        await stage.client.create({**lease, "metadata": {"name": "knowngood", "namespace": "knowngood"}})
        with pytest.raises(LockHeld, match="run-2 holds the cluster"):
            await desk.start(moving("26.3.2", "26.3.3"))
        assert not plans(stage)[f"{GPU}.v26.3.3",]["spec"]["approved"]

    on_olm(tmp_path, story)


def test_a_subscription_that_approves_by_itself_is_refused(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.3")
        await change(stage, GPU, installPlanApproval="Automatic")
        assert "spec.installPlanApproval is Automatic, it must be Manual" in await desk.found(STEP)

    on_olm(tmp_path, story)


def test_another_version_than_the_plans_start_is_refused(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.2")
        assert f"{GPU}.v26.3.2 is Succeeded, the plan starts from {GPU}.v26.3.3" in await desk.found(STEP)
        await approve(stage, f"{GPU}.v26.3.3")

    on_olm(tmp_path, story)
