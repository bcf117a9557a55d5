"""An operator of OLM v0 comes back: version and Subscription are made anew, and nothing of the objects is lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.adapters.olm_moves import Desk, declared, moving, on_olm
from tests.integration.twin.behaviour import SPACE, Play
from tests.integration.twin.olm_stage import (
    CONTENT,
    GPU,
    approve,
    begin,
    change,
    channel,
    installed,
    phase,
    planned,
    plans,
    subscribe,
    up_to,
)
from tests.integration.twin.test_olm_faults import WIDGET, content, second, widget

from knowngood.adapters.movers import olm_v0_acts
from knowngood.model.errors import CouldNot, Refused
from knowngood.model.mover import Moving
from knowngood.twin.behaviours.olm_objects import CATALOG, SERVICE_VERSION, SUBSCRIPTION
from knowngood.twin.values import Object

BACK = moving("26.7.0", "26.3.3")
NEWER, OLDER = f"{GPU}.v26.7.0", f"{GPU}.v26.3.3"
WIDGETS_BACK = moving("2.0.0", "1.0.0", "widgets")


async def self_heal(stage: Play, package: str = GPU, channel: str = "v26.3", version: str = "26.3.3") -> None:
    """What Argo CD does, for ever: a Subscription that is gone is made anew as Git says."""
    while True:
        if stage.twin.cache.get(SUBSCRIPTION, package, SPACE) is None:
            await subscribe(stage, package, channel, version)
        await asyncio.sleep(0.02)


async def healed(stage: Play, desk: Desk, move: Moving = BACK, **made: str) -> str:
    """The way back, with Argo CD at work."""
    argo = asyncio.create_task(self_heal(stage, **made))
    try:
        return await desk.back(move)
    finally:
        argo.cancel()


def test_version_and_subscription_are_made_anew_and_the_older_one_settles(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.7.0")
        assert await desk.found(BACK, undo=True) == ""
        await declared(stage, "26.3.3")
        done = await healed(stage, desk)
        assert [f"{NEWER} deleted" in done, "made anew" in done, f"{OLDER} approved" in done] == [True] * 3
        assert (await desk.settled(BACK)).done
        assert (await desk.state(BACK)).running == "26.3.3"
        assert await desk.left(BACK) == []
        assert await desk.back(BACK) == "", "a second time there is nothing to do"

    on_olm(tmp_path, story)


def test_a_version_that_no_catalog_offers_as_an_update_is_removed_and_installed(tmp_path: Path) -> None:
    alone = [row for row in CONTENT if row["name"] != "v26.7"] + [channel(GPU, "v26.7", "26.7.0")]
    step = replace(moving("26.3.3", "26.7.0"), reinstall=True)

    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.3")
        assert await desk.found(step) == ""
        await declared(stage, "26.7.0")
        argo = asyncio.create_task(self_heal(stage, channel="v26.7", version="26.7.0"))
        done = await desk.start(step)
        assert (f"{OLDER} deleted" in done, f"{NEWER} approved" in done) == (True, True)
        assert (await desk.settled(step)).done
        assert await desk.start(step) == "", "a second time there is nothing to do"
        argo.cancel()
        await declared(stage, "26.3.3")
        assert f"{OLDER} approved" in await healed(stage, desk)
        assert (await desk.settled(BACK)).done

    on_olm(tmp_path, story, catalogs={"catalog:50051": alone})


def test_nothing_is_deleted_before_git_is_back(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.7.0")
        with pytest.raises(CouldNot, match=f"startingCSV is {GPU}.v26.3.2, not {OLDER}"):
            await desk.back(BACK)
        assert phase(stage, NEWER) == "Succeeded"

    on_olm(tmp_path, story)


def test_nothing_is_deleted_that_the_catalog_could_not_bring_back(tmp_path: Path) -> None:
    """The catalog moved after the run's start: with the newer one gone there would be no operator at all."""
    moved = [channel(GPU, "v26.3", "26.3.2"), channel(GPU, "v26.7", "26.7.0")]
    moved += [row for row in CONTENT if row["schema"] != "olm.channel"]

    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.7.0")
        await declared(stage, "26.3.3")
        await stage.client.patch(CATALOG, "cat", {"spec": {"address": "moved:50051"}}, SPACE)
        async with asyncio.timeout(10):
            while "could not be brought back" not in await desk.found(BACK, undo=True):
                await asyncio.sleep(0.02)
        with pytest.raises(Refused, match=f"does not hold {OLDER}: nothing is deleted"):
            await healed(stage, desk)
        assert phase(stage, NEWER) == "Succeeded"

    on_olm(tmp_path, story, catalogs={"catalog:50051": CONTENT, "moved:50051": moved})


def test_a_version_that_would_take_its_objects_along_is_not_deleted(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.7.0")
        await stage.client.patch(SERVICE_VERSION, NEWER, {"spec": {"cleanup": {"enabled": True}}}, SPACE)
        assert "every object of its kinds would be deleted" in await desk.found(BACK, undo=True)
        await declared(stage, "26.3.3")
        with pytest.raises(Refused, match="would delete every object"):
            await desk.back(BACK)
        assert phase(stage, NEWER) == "Succeeded"

    on_olm(tmp_path, story)


def test_a_way_back_that_was_cut_short_goes_on_where_it_was(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.7.0")
        await declared(stage, "26.3.3")
        await stage.client.delete(SERVICE_VERSION, NEWER, SPACE)
        await stage.until("it is gone", lambda: not phase(stage, NEWER))
        await stage.client.delete(SUBSCRIPTION, GPU, SPACE)
        assert f"{OLDER} approved" in await healed(stage, desk)
        assert (await desk.settled(BACK)).done

    on_olm(tmp_path, story)


def test_a_version_in_the_middle_of_its_way_comes_back_whole(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.3")
        await stage.fault("olm-install-times-out", package=GPU)
        await declared(stage, "26.7.0")
        await desk.start(moving("26.3.3", "26.7.0"))
        await stage.until("it fails", lambda: phase(stage, NEWER) == "Failed")
        await stage.clear()
        await declared(stage, "26.3.3")
        await healed(stage, desk)
        assert (await desk.settled(BACK)).done

    on_olm(tmp_path, story)


def test_what_was_approved_a_moment_ago_is_waited_for_and_taken_away(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.3.3")
        await declared(stage, "26.7.0")
        await planned(stage, NEWER)
        stage.twin.clock.scale = 10.0  # the plan's steps take a while
        await desk.start(moving("26.3.3", "26.7.0"))
        await declared(stage, "26.3.3")
        assert f"{NEWER} deleted" in await healed(stage, desk)
        assert (await desk.settled(BACK)).done

    on_olm(tmp_path, story)


def test_a_subscription_with_anothers_status_is_deleted_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(olm_v0_acts, "INHERITED", 0.01)

    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.7.0")
        await declared(stage, "26.3.3")
        stage.twin.clock.scale = 10.0  # 30 s of the cluster are three of ours now
        await stage.fault("olm-stale-subscription", package=GPU, times="1")
        done = await healed(stage, desk)
        assert f"{OLDER} approved" in done
        assert any("took over the status" in text for text in desk.told)
        assert (await desk.settled(BACK)).done

    on_olm(tmp_path, story)


def test_after_three_subscriptions_with_anothers_status_a_human_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(olm_v0_acts, "INHERITED", 0.01)

    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.7.0")
        await declared(stage, "26.3.3")
        stage.twin.clock.scale = 10.0
        await stage.fault("olm-stale-subscription", package=GPU)
        with pytest.raises(CouldNot, match="made anew 3 times and still has another's status") as asked:
            await healed(stage, desk)
        assert "#3010" in asked.value.hint

    on_olm(tmp_path, story)


def test_without_self_heal_nobody_makes_the_subscription_anew_and_that_is_said(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await up_to(stage, "26.7.0")
        await declared(stage, "26.3.3")
        with pytest.raises(CouldNot, match="Argo CD has not made") as asked:
            await desk.back(BACK)
        assert "apply the committed Subscription" in asked.value.hint
        assert plans(stage) == {}

    on_olm(tmp_path, story)


def test_what_an_older_definition_does_not_know_is_named_before_it_is_lost(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await widgets_moved(stage, desk)
        await stage.client.create(a_widget(a="1", b="2"))
        done = await healed(stage, desk, WIDGETS_BACK, **FIRST)
        assert "Widget w loses spec.b at its next write" in done
        assert (await desk.settled(WIDGETS_BACK)).done

    on_olm(tmp_path, story, **content(widget("a"), widget("a", "b")))


def test_an_object_that_does_not_fit_the_older_definition_stops_the_way_back_first(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await widgets_moved(stage, desk)
        await stage.client.create(a_widget(b="2"))
        with pytest.raises(
            Refused, match=r"Widget w does not fit the older widgets.*'a' is a required property"
        ):
            await desk.back(WIDGETS_BACK)
        assert phase(stage, "widgets.v2.0.0") == "Succeeded", "nothing is deleted"

    on_olm(tmp_path, story, **content(widget("a", "b"), widget("b", "a")))


def test_a_stored_version_that_would_vanish_stops_the_way_back_first(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await widgets_moved(stage, desk)
        with pytest.raises(Refused, match=r"objects are stored as v2, .*risk of data loss"):
            await desk.back(WIDGETS_BACK)
        assert phase(stage, "widgets.v2.0.0") == "Succeeded"

    on_olm(tmp_path, story, **content(widget("a"), widget("a", versions=("v1", "v2"))))


def test_what_nobody_kept_is_said_to_be_not_proven(tmp_path: Path) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await second(stage)
        await installed(stage, "widgets.v2.0.0")
        await change(stage, "widgets", startingCSV="widgets.v1.0.0")
        done = await healed(stage, desk, WIDGETS_BACK, **FIRST)
        assert "fits the older definitions is not proven" in done

    on_olm(tmp_path, story, **content(widget("a"), widget("a", "b")))


FIRST = {"package": "widgets", "channel": "stable", "version": "1.0.0"}


async def widgets_moved(stage: Play, desk: Desk) -> None:
    """The widgets at their second version by us, and Git back at the first."""
    await begin(stage)
    await subscribe(stage, "widgets", "stable", "1.0.0")
    await approve(stage, "widgets.v1.0.0")
    await installed(stage, "widgets.v1.0.0")
    await change(stage, "widgets", startingCSV="widgets.v2.0.0")
    await desk.start(moving("1.0.0", "2.0.0", "widgets"))
    await desk.settled(moving("1.0.0", "2.0.0", "widgets"))
    await change(stage, "widgets", startingCSV="widgets.v1.0.0")


def a_widget(**spec: str) -> Object:
    return {"apiVersion": WIDGET[0], "kind": WIDGET[1], "metadata": {"name": "w"}, "spec": spec}
