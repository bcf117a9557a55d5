"""OLM's faults, each by its name, and what a plan does to definitions and their objects."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from tests.integration.twin.behaviour import SPACE, Play
from tests.integration.twin.olm_stage import (
    CONTENT,
    GPU,
    NFD,
    approve,
    begin,
    bundle,
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

from knowngood.twin.behaviours.olm_objects import DEFINITION, SERVICE_VERSION, SUBSCRIPTION
from knowngood.twin.behaviours.olm_packages import PACKAGE
from knowngood.twin.client import ClientError
from knowngood.twin.faults import KINDS
from knowngood.twin.values import Object

WIDGETS = "widgets.example.com"
WIDGET = ("example.com/v1", "Widget")


def said(stage: Play, kind: str, package: str = GPU) -> str:
    """Reason and message of a Subscription's condition; "" without it."""
    for one in status(stage, package).get("conditions", ()):
        if one["type"] == kind and one["status"] == "True":
            return f"{one.get('reason', '')} {one.get('message', '')}"
    return ""


def heads(stage: Play) -> dict[str, str]:
    """The newest version of each channel, as the package's manifest says."""
    return {row["name"]: row["currentCSV"] for row in stage.get(PACKAGE, GPU)["status"]["channels"]}


async def waiting(stage: Play, version: str) -> None:
    """The GPU Operator's plan for a version is there, and its Subscription knows it."""
    await planned(stage, f"{GPU}.v{version}")
    await stage.until("it waits", lambda: status(stage).get("currentCSV") == f"{GPU}.v{version}")


async def stale_subscription(stage: Play) -> None:
    await up_to(stage, "26.3.3")
    await stage.fault("olm-stale-subscription", package=GPU)
    await stage.client.delete(SERVICE_VERSION, f"{GPU}.v26.3.3", SPACE)
    await stage.until("it is gone", lambda: not phase(stage, f"{GPU}.v26.3.3"))
    stage.twin.clock.scale = 10.0  # 30 s of the cluster are three of ours now
    await stage.client.delete(SUBSCRIPTION, GPU, SPACE)
    await subscribe(stage, GPU, "v26.3", "26.3.2")
    await stage.until("its plan is missed", lambda: said(stage, "InstallPlanMissing"))
    await stage.quiet()
    assert plans(stage) == {}
    assert status(stage)["currentCSV"] == f"{GPU}.v26.3.3", "it is another's status"
    await stage.client.delete(SUBSCRIPTION, GPU, SPACE)
    await stage.until("it is gone", lambda: stage.twin.cache.get(SUBSCRIPTION, GPU, SPACE) is None)
    stage.twin.clock.scale = 1e6  # 30 s later
    await subscribe(stage, GPU, "v26.3", "26.3.2")
    await waiting(stage, "26.3.2")


async def orphan(stage: Play) -> None:
    await up_to(stage, "26.3.2")
    await stage.fault("olm-orphan-csv")
    await stage.until("nothing is resolved", lambda: said(stage, "ResolutionFailed"))
    assert f"{GPU}.v26.3.2 exists and is not referenced by a subscription" in said(stage, "ResolutionFailed")


async def carries_more(stage: Play) -> None:
    await up_to(stage, "26.3.3")
    await stage.fault("olm-plan-carries-more", package=GPU)
    await planned(stage, "neighbour-operator.v1.0.0")
    await change(stage, GPU, channel="v26.7")
    await planned(stage, f"{GPU}.v26.7.0", "neighbour-operator.v1.0.0")


async def catalog_moves(stage: Play) -> None:
    await up_to(stage, "26.7.0")
    assert heads(stage)["v26.7"] == f"{GPU}.v26.7.0"
    await stage.fault("olm-catalog-moves")
    await waiting(stage, "26.7.1")
    await stage.until("it is offered", lambda: heads(stage)["v26.7"] == f"{GPU}.v26.7.1")


async def unpack_fails(stage: Play) -> None:
    await begin(stage)
    await stage.fault("bundle-unpack-fails", package=GPU)
    await subscribe(stage, GPU, "v26.3", "26.3.2")
    await stage.until("it failed", lambda: said(stage, "BundleUnpackFailed"))
    assert plans(stage) == {}
    await stage.clear()
    await waiting(stage, "26.3.2")
    await stage.until("it is forgotten", lambda: not said(stage, "BundleUnpackFailed"))


async def data_loss(stage: Play) -> None:
    await begin(stage)
    await subscribe(stage, "widgets", "stable", "1.0.0")
    await approve(stage, "widgets.v1.0.0")
    await installed(stage, "widgets.v1.0.0")
    await stage.fault("olm-crd-data-loss", package="widgets")
    await approve(stage, "widgets.v2.0.0")
    await stage.until("the plan failed", lambda: said(stage, "InstallPlanFailed", "widgets"))
    assert 'risk of data loss updating "widgets.example.com": new CRD removes version v1beta1' in said(
        stage, "InstallPlanFailed", "widgets"
    )
    assert phase(stage, "widgets.v2.0.0") == ""


async def succeeds_twice(stage: Play) -> None:
    await up_to(stage, "26.3.2")
    await stage.fault("olm-succeeds-twice", package=GPU, version="26.3.3")
    name = f"{GPU}.v26.3.3"
    await approve(stage, name)
    await stage.until("it failed", lambda: "Failed" in stage.said(SERVICE_VERSION, name, "status", "phase"))
    await installed(stage, name)
    assert stage.said(SERVICE_VERSION, name, "status", "phase") == [
        *("Pending", "InstallReady", "Installing", "Succeeded"),
        *("Failed", "Pending", "InstallReady", "Installing", "Succeeded"),
    ]


async def install_times_out(stage: Play) -> None:
    await up_to(stage, "26.3.2")
    await stage.fault("olm-install-times-out", package=GPU, version="26.3.3")
    name = f"{GPU}.v26.3.3"
    await approve(stage, name)
    await stage.until("it failed", lambda: "Failed" in stage.said(SERVICE_VERSION, name, "status", "phase"))
    assert "install timeout" in stage.said(SERVICE_VERSION, name, "status", "message")
    assert phase(stage, f"{GPU}.v26.3.2") == "Replacing", "the old one stays until the new one has succeeded"
    assert status(stage)["installedCSV"] == name, "and is no longer what the Subscription calls installed"
    await stage.clear()
    await installed(stage, name)


STORIES = {
    "olm-succeeds-twice": succeeds_twice,
    "olm-install-times-out": install_times_out,
    "olm-stale-subscription": stale_subscription,
    "olm-orphan-csv": orphan,
    "olm-plan-carries-more": carries_more,
    "olm-catalog-moves": catalog_moves,
    "bundle-unpack-fails": unpack_fails,
    "olm-crd-data-loss": data_loss,
}


def widget(*fields: str, versions: tuple[str, ...] = ("v1",)) -> Object:
    """A definition whose spec has these fields, the first of them needed."""
    properties = {name: {"type": "string"} for name in fields}
    spec = {"type": "object", "properties": properties, "required": [fields[0]]}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": WIDGETS},
        "spec": {
            "group": "example.com",
            "scope": "Cluster",
            "names": {"kind": "Widget", "listKind": "WidgetList", "plural": "widgets", "singular": "widget"},
            "versions": [
                {"name": name, "served": True, "storage": name == versions[-1], "schema": schema}
                for name in versions
            ],
        },
    }


def with_definition(version: str, definition: Object) -> Object:
    """A bundle that brings the definition."""
    made = bundle("widgets", version)
    data = base64.b64encode(json.dumps(definition).encode()).decode()
    made["properties"].append({"type": "olm.bundle.object", "value": {"data": data}})
    return made


def content(first: Object, second: Object) -> dict[str, Any]:
    """A catalog with two versions of a package that has a kind of its own."""
    rows = [
        *CONTENT,
        {"schema": "olm.package", "name": "widgets"},
        channel("widgets", "stable", "1.0.0", "2.0.0"),
        with_definition("1.0.0", first),
        with_definition("2.0.0", second),
    ]
    return {"catalogs": {"catalog:50051": rows}}


@pytest.mark.parametrize("fault", STORIES)
def test_a_fault_of_olm_hits_by_its_name(fault: str, tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await STORIES[fault](stage)
        assert [row["fault"] for row in stage.events("fault-hit")][:1] == [fault]

    tell(tmp_path, story, **content(widget("a"), widget("a", "b")))


def test_every_fault_of_olm_has_a_story() -> None:
    assert set(STORIES) == {name for name, kind in KINDS.items() if kind.part == "olm"}


async def second(stage: Play) -> None:
    """The second version of the widgets, by its plan."""
    await begin(stage)
    await subscribe(stage, "widgets", "stable", "1.0.0")
    await approve(stage, "widgets.v1.0.0")
    await installed(stage, "widgets.v1.0.0")
    await approve(stage, "widgets.v2.0.0")


async def back_to_the_first(stage: Play) -> None:
    await stage.client.delete(SERVICE_VERSION, "widgets.v2.0.0", SPACE)
    await stage.until("it is gone", lambda: not phase(stage, "widgets.v2.0.0"))
    await stage.client.delete(SUBSCRIPTION, "widgets", SPACE)
    await stage.until("the Subscription too", lambda: not status(stage, "widgets"))
    await subscribe(stage, "widgets", "stable", "1.0.0")
    await approve(stage, "widgets.v1.0.0")


def test_an_older_bundle_puts_its_older_definition_back_and_the_newer_field_is_pruned(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await second(stage)
        await installed(stage, "widgets.v2.0.0")
        spec = {"a": "1", "b": "2"}
        made = {"apiVersion": WIDGET[0], "kind": WIDGET[1], "metadata": {"name": "w"}, "spec": spec}
        await stage.client.create(made)
        await back_to_the_first(stage)
        await installed(stage, "widgets.v1.0.0")
        live = await stage.client.get(DEFINITION, WIDGETS)
        assert '"b"' not in json.dumps(live["spec"])
        await stage.client.patch(WIDGET, "w", {"metadata": {"labels": {"touched": "yes"}}})
        assert (await stage.client.get(WIDGET, "w"))["spec"] == {"a": "1"}

    tell(tmp_path, story, **content(widget("a"), widget("a", "b")))


def test_a_definition_that_an_object_breaks_is_refused_and_the_plan_fails(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await second(stage)
        await installed(stage, "widgets.v2.0.0")
        made = {"apiVersion": WIDGET[0], "kind": WIDGET[1], "metadata": {"name": "w"}, "spec": {"b": "2"}}
        await stage.client.create(made)
        await back_to_the_first(stage)
        await stage.until("the plan failed", lambda: said(stage, "InstallPlanFailed", "widgets"))
        assert "updated validation is too restrictive: spec.a: Required value" in said(
            stage, "InstallPlanFailed", "widgets"
        )
        assert phase(stage, "widgets.v1.0.0") == ""

    tell(tmp_path, story, **content(widget("a"), widget("b")))


def test_a_stored_version_that_the_definition_lacks_is_refused(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await second(stage)
        await stage.until("the plan failed", lambda: said(stage, "InstallPlanFailed", "widgets"))
        assert "removes version v1 that is listed as a stored version" in said(
            stage, "InstallPlanFailed", "widgets"
        )

    tell(tmp_path, story, **content(widget("a"), widget("a", versions=("v2",))))


def test_objects_survive_their_operator_unless_it_asks_for_their_deletion(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        await second(stage)
        await installed(stage, "widgets.v2.0.0")
        for name, cleanup in (("kept", None), ("taken", {"enabled": True})):
            spec = {"a": name}
            made = {"apiVersion": WIDGET[0], "kind": WIDGET[1], "metadata": {"name": name}, "spec": spec}
            await stage.client.create(made)
            if cleanup:
                await stage.client.patch(
                    SERVICE_VERSION, "widgets.v2.0.0", {"spec": {"cleanup": cleanup}}, SPACE
                )
                await stage.client.delete(SERVICE_VERSION, "widgets.v2.0.0", SPACE)
                await stage.until("it is gone", lambda: not phase(stage, "widgets.v2.0.0"))
                with pytest.raises(ClientError, match="404"):
                    await stage.client.get(WIDGET, name)
            else:
                await back_to_the_first(stage)
                await installed(stage, "widgets.v1.0.0")
                await approve(stage, "widgets.v2.0.0")
                await installed(stage, "widgets.v2.0.0")
                assert (await stage.client.get(WIDGET, name))["spec"] == spec
        assert NFD not in str(plans(stage))

    tell(tmp_path, story, **content(widget("a"), widget("a", "b")))
