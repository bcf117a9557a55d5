"""OLM v0 as the real one was seen to be: one plan for a namespace, approvals that last, no way back but by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.integration.twin.behaviour import SPACE, Play, play
from tests.integration.twin.olm_stage import (
    CONTENT,
    GPU,
    NFD,
    OLM_KINDS,
    approve,
    begin,
    bundle,
    cast,
    change,
    channel,
    installed,
    phase,
    planned,
    plans,
    status,
    subscribe,
    tell,
    up_to,
)
from tests.published import needs_definitions, problems

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.kube import DEPLOYMENT, name_of
from knowngood.twin.behaviours.olm_objects import CATALOG, SERVICE_VERSION, SUBSCRIPTION
from knowngood.twin.behaviours.olm_packages import PACKAGE
from knowngood.twin.oracle import snapshot
from knowngood.twin.values import Object


def test_a_plan_waits_for_its_approval_and_a_version_is_called_installed_before_it_has_succeeded(
    tmp_path: Path,
) -> None:
    async def story(stage: Play) -> None:
        await begin(stage)
        await subscribe(stage, GPU, "v26.3", "26.3.2")
        plan = await planned(stage, f"{GPU}.v26.3.2")
        await stage.until("the Subscription knows its plan", lambda: status(stage).get("installPlanRef"))
        assert status(stage)["installPlanRef"]["name"] == name_of(plan)
        assert status(stage)["state"] == "UpgradePending"
        await stage.quiet()
        assert stage.twin.cache.all(SERVICE_VERSION, SPACE) == []
        await approve(stage, f"{GPU}.v26.3.2")
        await installed(stage, f"{GPU}.v26.3.2")
        name = f"{GPU}.v26.3.2"
        assert stage.said(SERVICE_VERSION, name, "status", "phase") == [
            "Pending",
            "InstallReady",
            "Installing",
            "Succeeded",
        ]
        order = [
            (
                obj["kind"],
                (obj.get("status") or {}).get("installedCSV"),
                (obj.get("status") or {}).get("phase"),
            )
            for _, obj in stage.history
        ]
        told = next(i for i, row in enumerate(order) if row[0] == "Subscription" and row[1] == name)
        done = next(i for i, row in enumerate(order) if row[0] == "InstallPlan" and row[2] == "Complete")
        good = next(i for i, row in enumerate(order) if row[2] == "Succeeded")
        assert told < good, "installedCSV is said before the version has succeeded"
        assert done < good, "the plan is Complete before the version has succeeded"
        assert stage.get(DEPLOYMENT, GPU)["spec"]["template"]["spec"]["containers"][0]["image"].endswith(
            "26.3.2"
        )

    tell(tmp_path, story)


def test_a_newer_version_replaces_the_installed_one_and_the_channel_leads_on(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await up_to(stage, "26.7.0")
        old, new = f"{GPU}.v26.3.3", f"{GPU}.v26.7.0"
        assert stage.said(SERVICE_VERSION, old, "status", "phase")[-3:] == [
            "Succeeded",
            "Replacing",
            "Deleting",
        ]
        assert stage.get(SERVICE_VERSION, new)["spec"]["replaces"] == old
        ready = stage.said(DEPLOYMENT, GPU, "status", "readyReplicas")
        assert 0 not in ready[ready.index(1) :], "the new pod runs before the old one goes"
        deployment = stage.get(DEPLOYMENT, GPU)
        assert deployment["metadata"]["labels"]["olm.owner"] == new
        assert len(stage.twin.cache.all(DEPLOYMENT, SPACE)) == 2, "beside the seed's own"
        assert status(stage)["state"] == "AtLatestKnown"

    tell(tmp_path, story)


def test_one_plan_serves_all_subscriptions_of_a_namespace_and_only_the_new_one_is_pointed_at_it(
    tmp_path: Path,
) -> None:
    async def story(stage: Play) -> None:
        await up_to(stage, "26.3.3")
        await change(stage, GPU, channel="v26.7")
        alone = await planned(stage, f"{GPU}.v26.7.0")
        await stage.until("it waits", lambda: status(stage).get("currentCSV") == f"{GPU}.v26.7.0")
        await subscribe(stage, NFD, "stable", "4.18.0")
        both = await planned(stage, f"{GPU}.v26.7.0", f"{NFD}.v4.18.0")
        await stage.until("nfd knows its plan", lambda: status(stage, NFD).get("installPlanRef"))
        await stage.quiet()
        assert status(stage, NFD)["installPlanRef"]["name"] == name_of(both)
        assert status(stage)["installPlanRef"]["name"] == name_of(alone), "two plans name our version"
        await approve(stage, f"{GPU}.v26.7.0")
        await installed(stage, f"{GPU}.v26.7.0")
        await stage.quiet()
        assert phase(stage, f"{NFD}.v4.18.0") == "", "nfd waits still"
        assert status(stage, NFD)["installPlanRef"]["name"] == name_of(both)

    tell(tmp_path, story)


@needs_definitions
def test_what_olm_writes_is_valid_by_its_own_definitions(tmp_path: Path) -> None:
    seen: dict[tuple[str, str, str], Object] = {}

    async def story(stage: Play) -> None:
        await up_to(stage, "26.7.0")
        for _, obj in stage.history:
            said = obj.get("status") or {}
            seen[obj["kind"], name_of(obj), said.get("phase") or said.get("state") or ""] = obj

    tell(tmp_path, story)
    assert {kind for kind, _, _ in seen} == {kind for _, kind in OLM_KINDS}
    found = {key: problems(obj) for key, obj in seen.items() if key[0] != "Event"}
    assert {key: why for key, why in found.items() if why} == {}


def test_nothing_set_backwards_brings_an_older_version_back(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await up_to(stage, "26.7.0")
        before = set(plans(stage))
        for step in ({"startingCSV": f"{GPU}.v26.3.3"}, {"channel": "v26.3"}, {"channel": "v26.7"}):
            await change(stage, GPU, **step)
            await stage.quiet()
            assert set(plans(stage)) == before, step
            assert status(stage)["installedCSV"] == f"{GPU}.v26.7.0"
        await stage.client.delete(SERVICE_VERSION, f"{GPU}.v26.7.0", SPACE)
        await stage.until("it is gone", lambda: not stage.twin.cache.all(SERVICE_VERSION, SPACE))
        await stage.quiet()
        assert set(plans(stage)) == before, "the version deleted alone makes no new plan"
        assert status(stage)["state"] == "UpgradePending"
        assert stage.twin.cache.get(DEPLOYMENT, GPU, SPACE) is None, "its Deployment goes with it"

    tell(tmp_path, story)


async def go_back(stage: Play, version: str = "26.3.3") -> None:
    """The way back by hand: version and Subscription deleted, the older one asked for."""
    await stage.client.delete(SERVICE_VERSION, f"{GPU}.v26.7.0", SPACE)
    await stage.until("it is gone", lambda: not phase(stage, f"{GPU}.v26.7.0"))
    await stage.client.delete(SUBSCRIPTION, GPU, SPACE)
    await stage.until("the Subscription too", lambda: stage.twin.cache.get(SUBSCRIPTION, GPU, SPACE) is None)
    await subscribe(stage, GPU, "v26.3", version)


def test_version_and_subscription_deleted_an_older_starting_version_is_installed(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await up_to(stage, "26.7.0")
        await go_back(stage)
        await stage.until("their plans go too", lambda: list(plans(stage)) == [(f"{GPU}.v26.3.3",)])
        await approve(stage, f"{GPU}.v26.3.3")
        await installed(stage, f"{GPU}.v26.3.3")
        await stage.quiet()
        assert list(plans(stage)) == [(f"{GPU}.v26.3.3",)], "the channel's head is reached"

    tell(tmp_path, story)


def test_a_plan_left_from_before_installs_what_it_carries_when_somebody_approves_it(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await up_to(stage, "26.3.3")
        await subscribe(stage, NFD, "stable", "4.18.0")
        await planned(stage, f"{NFD}.v4.18.0")
        await change(stage, GPU, channel="v26.7")
        stale = f"{GPU}.v26.7.0", f"{NFD}.v4.18.0"
        await planned(stage, *stale)
        await approve(stage, f"{NFD}.v4.18.0")
        await installed(stage, f"{NFD}.v4.18.0")
        await stage.quiet()
        assert not plans(stage)[stale]["spec"]["approved"]
        await approve(stage, *stale)
        await installed(stage, f"{GPU}.v26.7.0")

    tell(tmp_path, story)


def test_an_orphaned_version_blocks_its_namespace(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await up_to(stage, "26.7.0")
        await stage.client.delete(SUBSCRIPTION, GPU, SPACE)
        await subscribe(stage, GPU, "v26.3", "26.3.3")
        await subscribe(stage, NFD, "stable", "4.18.0")

        def failed(package: str) -> str:
            found = [
                c for c in status(stage, package).get("conditions", ()) if c["type"] == "ResolutionFailed"
            ]
            return found[0]["reason"] + " " + found[0]["message"] if found else ""

        await stage.until("nothing is resolved", lambda: failed(GPU) and failed(NFD))
        assert failed(NFD).startswith("ConstraintsNotSatisfiable")
        assert f"{GPU}.v26.7.0 exists and is not referenced by a subscription" in failed(NFD)

    tell(tmp_path, story)


def test_the_oracle_sees_operators_definitions_and_plans_that_wait(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await up_to(stage, "26.3.2")
        await planned(stage, f"{GPU}.v26.3.3")
        before = (await snapshot(stage.client, tmp_path))["fleet"]
        assert before["operators"] == {f"{SPACE}/{GPU}.v26.3.2": "Succeeded"}
        assert before["waiting"] == {SPACE: [f"{GPU}.v26.3.3"]}
        await approve(stage, f"{GPU}.v26.3.3")
        await installed(stage, f"{GPU}.v26.3.3")
        after = (await snapshot(stage.client, tmp_path))["fleet"]
        assert after["operators"] == {f"{SPACE}/{GPU}.v26.3.3": "Succeeded"}
        assert "waiting" not in after

    tell(tmp_path, story)


def test_a_catalog_that_is_away_makes_no_plan_and_says_so(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await begin(stage, "elsewhere:50051")
        await subscribe(stage, GPU, "v26.3", "26.3.2")
        await stage.until("it is told", lambda: "ResolutionFailed" in str(status(stage)))
        assert stage.said(CATALOG, "cat", "status", "connectionState", "lastObservedState") == [
            "IDLE",
            "TRANSIENT_FAILURE",
        ]
        assert "ErrorPreventedResolution" in str(status(stage)["conditions"])
        assert plans(stage) == {}
        assert stage.twin.cache.all(PACKAGE, SPACE) == []
        await stage.client.patch(CATALOG, "cat", {"spec": {"address": "catalog:50051"}}, SPACE)
        await planned(stage, f"{GPU}.v26.3.2")
        channels = stage.get(PACKAGE, GPU)["status"]["channels"]
        assert {row["name"]: [e["name"] for e in row["entries"]] for row in channels} == {
            "v26.3": [f"{GPU}.v26.3.3", f"{GPU}.v26.3.2"],
            "v26.7": [f"{GPU}.v26.7.0", f"{GPU}.v26.3.3", f"{GPU}.v26.3.2"],
        }

    tell(tmp_path, story)


def test_a_catalog_that_moves_makes_no_new_plan_while_one_is_pending(tmp_path: Path) -> None:
    newer = [*CONTENT, channel(GPU, "v26.7", "26.3.3", "26.7.0", "26.7.1"), bundle(GPU, "26.7.1")]

    async def story(stage: Play) -> None:
        await up_to(stage, "26.3.3")
        await change(stage, GPU, channel="v26.7")
        await planned(stage, f"{GPU}.v26.7.0")
        await stage.until("it waits", lambda: status(stage).get("currentCSV") == f"{GPU}.v26.7.0")
        await stage.client.patch(CATALOG, "cat", {"spec": {"address": "catalog-2:50051"}}, SPACE)
        await stage.until("READY", lambda: "catalog-2" in str(stage.get(CATALOG, "cat")["status"]))
        await stage.quiet()
        assert (f"{GPU}.v26.7.1",) not in plans(stage)
        await approve(stage, f"{GPU}.v26.7.0")
        await installed(stage, f"{GPU}.v26.7.0")
        await planned(stage, f"{GPU}.v26.7.1")

    tell(tmp_path, story, catalogs={"catalog:50051": CONTENT, "catalog-2:50051": newer})


def test_automatic_approval_holds_only_where_every_subscription_of_the_namespace_has_it(
    tmp_path: Path,
) -> None:
    async def story(stage: Play) -> None:
        await begin(stage)
        await subscribe(stage, NFD, "stable", "4.18.0", "Automatic")
        await installed(stage, f"{NFD}.v4.18.1")
        await subscribe(stage, GPU, "v26.3", "26.3.2")
        plan = await planned(stage, f"{GPU}.v26.3.2")
        assert plan["spec"]["approval"] == "Manual"

    tell(tmp_path, story)


def test_what_the_seed_calls_installed_is_there_when_the_cluster_has_settled(tmp_path: Path) -> None:
    source = {"name": "cat", "namespace": "openshift-marketplace", "place": "mirror.example.com/index:v4.18"}
    row = {
        "package": GPU,
        "namespace": SPACE,
        "channel": "v26.3",
        "csv": f"{GPU}.v26.3.2",
        "source": "cat",
        "sourceNamespace": "openshift-marketplace",
    }

    def hurried(twin: Twin) -> Sequence[Controller]:
        twin.clock.hurry = True
        return cast(twin)

    async def story(stage: Play) -> None:
        await installed(stage, f"{GPU}.v26.3.2")
        plan = await planned(stage, f"{GPU}.v26.3.3")
        assert not plan["spec"]["approved"], "what comes next waits"
        assert [d["metadata"]["name"] for d in stage.twin.cache.all(DEPLOYMENT, SPACE)] == [GPU]

    seed = {"catalogs": {source["place"]: CONTENT}, "sources": [source], "installed": [row]}
    play(tmp_path, story, hurried, kinds=OLM_KINDS, olm=seed)
