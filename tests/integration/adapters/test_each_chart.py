"""Each chart that Argo CD brings, by its own file: done, restored, and four incidents on its way."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
import yaml
from tests.integration.twin.behaviour import Play, play
from tests.movers import EVERY
from tests.unit.planner.matrices import cluster

from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.movers import chart_render
from knowngood.adapters.movers.chart import Charts
from knowngood.model.field import ObjectRef
from knowngood.model.mover import FleetState, Look, Moving
from knowngood.planner.moving import APPLICATION, CHART, REVISION, shown
from knowngood.twin.behaviours import chart_objects
from knowngood.twin.behaviours.chart_apps import ChartApplications
from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.daemonsets import DaemonSets
from knowngood.twin.behaviours.kube import APPLICATION as APPLICATIONS
from knowngood.twin.behaviours.scheduler import Scheduler
from knowngood.twin.behaviours.workloads import Deployments, ReplicaSets
from knowngood.twin.values import Object

VERSIONS = {
    "dra-driver": ("25.3.2", "25.8.0"),
    "hami": ("2.8.0", "2.8.1"),
    "kai-scheduler": ("0.12.16", "0.13.0"),
    "run-ai": ("2.24.1", "2.25.0"),
}
"""A version and one after it, written as each of them writes it."""
SPACE = "argocd"
NODES = [{"name": "cpu-1", "role": "cpu"}, {"name": "cpu-2", "role": "cpu"}]
Story = Callable[[Play, "Desk"], Awaitable[None]]


class Desk:
    """One chart: what Git would do to its Application, and what the class says of it."""

    def __init__(self, stage: Play, component: str, folder: Path) -> None:
        self.stage, self.component = stage, component
        self.old, self.new = VERSIONS[component]
        self.spec = EVERY[component]
        self.of = Charts(Kube(folder / "kubeconfig"), cluster())
        at = ObjectRef(*APPLICATIONS, component, SPACE)
        self.forth = Moving(component, self.old, self.new, self.spec, at)
        self.back = Moving(component, self.new, self.old, self.spec, at)

    def revision(self, version: str) -> str:
        return shown(self.spec, APPLICATION, version)[REVISION]

    async def made(self) -> None:
        """Its Application, at the old version and whole."""
        source = {
            "repoURL": "charts.example.com",
            "chart": self.spec.require[APPLICATION][CHART],
            "targetRevision": self.revision(self.old),
        }
        application: Object = {
            "apiVersion": APPLICATIONS[0],
            "kind": APPLICATIONS[1],
            "metadata": {"name": self.component, "namespace": SPACE},
            "spec": {
                "project": "default",
                "source": source,
                "destination": {"server": "https://kubernetes.default.svc", "namespace": self.component},
                "syncPolicy": {"automated": {}},
            },
        }
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}
        await self.stage.client.create(namespace)
        await self.stage.client.create(application)
        assert (await self.until(self.back, "all of it is ready")).done

    async def declared(self, version: str) -> None:
        """What a commit brings."""
        patch = {"spec": {"source": {"targetRevision": self.revision(version)}}}
        await self.stage.client.patch(APPLICATIONS, self.component, patch, SPACE)

    async def until(self, moving: Moving, words: str) -> Look:
        """The first look that says so."""
        look = Look()
        try:
            async with asyncio.timeout(15):
                while True:
                    look = await asyncio.to_thread(self.of.look, moving)
                    if words in (look.done or look.waiting or look.failed):
                        return look
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise AssertionError(f"never said: {words}; but: {look}") from None

    async def why_not(self, moving: Moving, *, undo: bool = False) -> str:
        found = await asyncio.to_thread(self.of.ready, moving, undo=undo)
        return "; ".join(f"{f.verdict.value} {f}" for f in found)

    async def state(self) -> FleetState:
        return await asyncio.to_thread(self.of.state, self.forth)


def cast(twin: Twin) -> Sequence[Controller]:
    return [Scheduler(twin), DaemonSets(twin), Deployments(twin), ReplicaSets(twin), ChartApplications(twin)]


def tell(folder: Path, component: str, story: Story) -> None:
    async def told(stage: Play) -> None:
        await story(stage, Desk(stage, component, folder))

    play(folder, told, cast, scale=3000.0, runs=True, nodes=NODES, gitops={"repo": "file:///nowhere"})


def test_each_chart_that_ships_is_here() -> None:
    assert VERSIONS.keys() == {name for name, spec in EVERY.items() if spec.kind == "chart"}


@pytest.mark.parametrize("component", VERSIONS)
def test_a_chart_is_done_and_restored_and_no_incident_is_taken_for_an_arrival(
    component: str, tmp_path: Path
) -> None:
    async def story(stage: Play, desk: Desk) -> None:
        await desk.made()
        assert await desk.why_not(desk.forth) == await desk.why_not(desk.back, undo=True) == ""

        await stage.fault("application-stuck", version=desk.new)
        await desk.declared(desk.new)
        await desk.until(desk.forth, "is being synced")
        assert (await desk.state()).running == ""
        await stage.fault("chart-image-is-missing", version=desk.new)
        await stage.fault("webhook-has-no-backend", version=desk.new)
        await stage.client.delete(("v1", "ConfigMap"), "application-stuck", "twin-system")
        look = await desk.until(desk.forth, "ImagePullBackOff")
        assert chart_objects.image(desk.spec.require[APPLICATION][CHART], desk.new) in look.waiting
        assert "has no ready endpoint" in look.waiting
        await stage.client.delete(("v1", "ConfigMap"), "chart-image-is-missing", "twin-system")
        look = await desk.until(desk.forth, f"ValidatingWebhookConfiguration {component} has no backend")
        assert not look.done
        await stage.clear()
        assert (await desk.until(desk.forth, "all of it is ready")).done
        assert await desk.state() == FleetState(desk.new, desk.new)

        await desk.declared(desk.old)
        assert (await desk.until(desk.back, "all of it is ready")).done
        assert await desk.state() == FleetState(desk.old, desk.old)

    tell(tmp_path, component, story)


def test_a_version_that_is_stored_by_then_refuses_the_way_back_and_is_found_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault stored-version-refuses; Helm is played by what it would print of the newer chart."""

    async def story(stage: Play, desk: Desk) -> None:
        await stage.fault("stored-version-refuses", version=desk.new)
        await desk.made()
        monkeypatch.setattr(chart_render, "HELM", "/nowhere/helm")
        assert (await desk.why_not(desk.back, undo=True)).startswith("inconclusive")
        application = stage.get(APPLICATIONS, desk.component, SPACE)
        newer = chart_objects.objects(application, desk.new, ("v1", "v2"))
        (tmp_path / "printed").write_text(yaml.safe_dump_all(newer))
        (tmp_path / "helm").write_text(f"#!/bin/sh\ncat {tmp_path}/printed\n")
        (tmp_path / "helm").chmod(0o755)
        monkeypatch.setattr(chart_render, "HELM", str(tmp_path / "helm"))
        assert await desk.why_not(desk.forth) == ""
        assert "it stores things.kai-scheduler.example.com as v2" in await desk.why_not(desk.back, undo=True)

        await desk.declared(desk.new)
        await desk.until(desk.forth, "all of it is ready")
        await desk.declared(desk.old)
        failed = (await desk.until(desk.back, "its sync Failed")).failed
        assert "storedVersions" in failed, "the API server's own words"

    tell(tmp_path, "kai-scheduler", story)
