"""Each operator that OLM installs, by its own file: done, restored, and three incidents on its way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from tests.integration.adapters.olm_moves import Desk, on_olm
from tests.integration.twin.behaviour import SPACE, Play
from tests.integration.twin.olm_stage import approve, begin, change, installed, made, phase, status
from tests.movers import EVERY

from knowngood.model.field import ObjectRef
from knowngood.model.mover import Moving
from knowngood.planner.moving import CHANNEL, STARTING, SUBSCRIPTION, shown
from knowngood.twin.behaviours.olm_objects import SUBSCRIPTION as SUBSCRIPTIONS
from knowngood.twin.values import Object

VERSIONS = {
    "csm-operator": ("1.9.0", "1.9.1"),
    "gpu-operator": ("26.3.3", "26.7.0"),
    "kueue": ("1.2.0", "1.3.0"),
    "network-operator": ("26.1.1", "26.4.1"),
    "nfd": ("4.18.0-202507211933", "4.18.0-202508201933"),
    "openshift-ai": ("2.25.0", "3.0.0"),
    "openshift-gitops": ("1.16.2", "1.20.0"),
    "quay": ("3.15.1", "3.16.0"),
    "sriov-network-operator": ("4.18.0-202507211933", "4.18.0-202508201933"),
}
"""A version and one after it, written as each of them writes it."""


class Operator:
    """One of them, as its component file declares it."""

    def __init__(self, component: str) -> None:
        self.old, self.new = VERSIONS[component]
        self.spec = replace(EVERY[component], settles=())  # whose versions must be in Git: a test of its own
        self.package = self.declared(self.old)["startingCSV"].partition(".")[0]
        at = ObjectRef("operators.coreos.com/v1alpha1", SUBSCRIPTION, self.package, SPACE)
        self.forth = Moving(component, self.old, self.new, self.spec, at)
        self.back = Moving(component, self.new, self.old, self.spec, at)

    def declared(self, version: str) -> dict[str, str]:
        """The Subscription's fields that name a version."""
        texts = shown(self.spec, SUBSCRIPTION, version)
        return {"channel": texts[CHANNEL], "startingCSV": texts[STARTING]}

    def subscription(self) -> Object:
        spec = {"name": self.package, "source": "cat", "sourceNamespace": SPACE}
        return made(
            SUBSCRIPTION,
            self.package,
            {**spec, **self.declared(self.old), "installPlanApproval": "Manual"},
        )

    def content(self) -> list[Object]:
        """A catalog in which the new version replaces the old one, in the channel that its file names."""
        csv = [self.declared(version)["startingCSV"] for version in (self.old, self.new)]
        rows: dict[str, list[Object]] = {self.declared(self.old)["channel"]: [{"name": csv[0]}]}
        rows[self.declared(self.new)["channel"]] = [{"name": csv[0]}, {"name": csv[1], "replaces": csv[0]}]
        of = {"package": self.package}
        return [
            {"schema": "olm.package", "name": self.package, "defaultChannel": list(rows)[-1]},
            *({"schema": "olm.channel", **of, "name": name, "entries": rows[name]} for name in rows),
            *(
                {"schema": "olm.bundle", **of, "name": name, "properties": [_is(self.package, version)]}
                for name, version in zip(csv, (self.old, self.new), strict=True)
            ),
        ]


def _is(package: str, version: str) -> Object:
    return {"type": "olm.package", "value": {"packageName": package, "version": version}}


async def self_heal(stage: Play, one: Operator) -> None:
    """Argo CD: a Subscription that is gone is made anew as Git says."""
    while True:
        if stage.twin.cache.get(SUBSCRIPTIONS, one.package, SPACE) is None:
            await stage.client.create(one.subscription())
        await asyncio.sleep(0.02)


def test_each_operator_that_ships_is_here() -> None:
    assert VERSIONS.keys() == {name for name, spec in EVERY.items() if spec.kind == "olm-v0"}


@pytest.mark.parametrize("component", VERSIONS)
def test_an_operator_is_done_and_restored_and_no_incident_is_taken_for_an_arrival(
    component: str, tmp_path: Path
) -> None:
    one = Operator(component)
    old, new = (one.declared(version)["startingCSV"] for version in VERSIONS[component])

    async def story(stage: Play, desk: Desk) -> None:
        await begin(stage)
        await stage.client.create(one.subscription())
        await approve(stage, old)
        await installed(stage, old)
        assert await desk.found(one.forth) == ""

        await stage.fault("olm-install-times-out", package=one.package)
        await change(stage, one.package, **one.declared(one.new))
        assert "InstallPlan" in await desk.start(one.forth)
        await stage.until("its Deployment never counts as ready", lambda: phase(stage, new) == "Failed")
        assert new in (await desk.looked(one.forth)).waiting
        await stage.clear()
        assert (await desk.settled(one.forth)).done
        assert ((await desk.state(one.forth)).running, await desk.left(one.forth)) == (one.new, [])

        assert await desk.found(one.back, undo=True) == ""
        await stage.fault("olm-stale-subscription", package=one.package, times="1")
        await change(stage, one.package, **one.declared(one.old))
        argo = asyncio.create_task(self_heal(stage, one))
        assert f"{old} approved" in await desk.back(one.back)
        argo.cancel()
        assert (await desk.settled(one.back)).done
        assert ((await desk.state(one.back)).running, await desk.left(one.back)) == (one.old, [])

        await stage.fault("olm-orphan-csv", package=one.package)
        await stage.until("it is forgotten", lambda: "ResolutionFailed" in str(status(stage, one.package)))
        assert f"{old} exists and is not referenced by a subscription" in await desk.found(one.forth)

    on_olm(tmp_path, story, catalogs={"catalog:50051": one.content()})
