"""Silences of alerts as holds, on an Alertmanager that the twin plays behind its API server's service proxy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from click.testing import CliRunner
from tests.integration.twin.behaviour import Play, Story, play

from knowngood.adapters.kubernetes.checkpoint import ConfigMapCheckpoint
from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.nodes.holding import KubeHolds, standing
from knowngood.cli.main import cli
from knowngood.matrix.locate import matrix_dir
from knowngood.model.alerts import NONE, Alertmanager
from knowngood.model.run_summary import RunSummary
from knowngood.ports.holds import Term
from knowngood.twin.values import Object

T = TypeVar("T")
AT = Alertmanager("monitoring/alertmanager-operated:9093")
"""As the shipped cluster vanilla has it."""
SILENCES = "/api/v1/namespaces/monitoring/services/alertmanager-operated:9093/proxy/api/v2/silence"
TERM = Term("r1", "ana@laptop", "2099-01-01T00:00:00+00:00")
NODES = ["gpu-1", "gpu-2.lab"]
BY_NODE = r"Silence node=~(gpu-1|gpu-2\.lab)(:[0-9]+)?"
BY_INSTANCE = r"Silence instance=~(gpu-1|gpu-2\.lab)(:[0-9]+)?"


class Desk:
    """What a story asks, off the twin's own thread."""

    def __init__(self, folder: Path) -> None:
        self.kubeconfig = folder / "kubeconfig"
        self.kube = Kube(self.kubeconfig, patience=0.0)
        self.holds = KubeHolds(self.kube, AT)

    async def ask(self, what: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.to_thread(what, *arguments)

    async def active(self) -> dict[str, Object]:
        """Id -> silence, of those that stand."""
        found: Any = await self.ask(self.holds._silences._all)
        return {s["id"]: s for s in found if s["status"]["state"] == "active"}

    async def write(self, **changed: Any) -> None:
        """Somebody's own silence."""
        matcher = {"name": "alertname", "value": "Watchdog", "isRegex": False, "isEqual": True}
        body = {"matchers": [matcher], "startsAt": "2026-01-01T00:00:00Z", "endsAt": TERM.until}
        made = {**body, "createdBy": "ben", "comment": "noise", **changed}
        await self.ask(self.kube.create, f"{SILENCES}s", made)


def tell(folder: Path, story: Callable[[Desk], Any]) -> None:
    async def told(stage: Play) -> None:
        metadata: Object = {"name": "alertmanager-operated", "namespace": "monitoring"}
        metadata["labels"] = {"app.kubernetes.io/name": "alertmanager"}
        ports = {"ports": [{"name": "web", "port": 9093}]}
        space = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "monitoring"}}
        await stage.client.create(space)
        service = {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": ports}
        await stage.client.create(service)
        await story(Desk(folder))

    made: Story = told
    play(folder, made, lambda _twin: [])


def test_alerts_of_the_nodes_are_silenced_until_the_deadline_and_again_once_let_go(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        await desk.write()
        taken = await desk.ask(desk.holds.take, ["alerts"], NODES, TERM)
        assert (taken.held, taken.failed, taken.told) == ((BY_NODE, BY_INSTANCE), {}, ())
        ours = [s for s in (await desk.active()).values() if s["createdBy"] == "knowngood/r1"]
        assert {s["endsAt"] for s in ours} == {TERM.until}
        assert all("ana@laptop" in s["comment"] for s in ours)
        before = await desk.active()
        assert await desk.ask(desk.holds.take, ["alerts"], NODES, TERM) == taken
        assert await desk.active() == before, "taken once"
        found = await desk.ask(standing, desk.kube, AT)
        assert [(left.where, left.run) for left in found] == [(BY_NODE, "r1"), (BY_INSTANCE, "r1")]
        assert (await desk.ask(desk.holds.let_go, ["alerts"], "r0")).done == ()
        gone = await desk.ask(desk.holds.let_go, ["alerts"], "r1")
        assert set(gone.done) == {BY_NODE, BY_INSTANCE}
        assert [s["createdBy"] for s in (await desk.active()).values()] == ["ben"]
        assert await desk.ask(standing, desk.kube, AT) == []

    tell(tmp_path, story)


def test_a_silence_that_somebody_ended_is_seen_and_made_again_and_a_worn_one_is_renewed(
    tmp_path: Path,
) -> None:
    async def story(desk: Desk) -> None:
        taken = await desk.ask(desk.holds.take, ["alerts"], NODES, TERM)
        assert await desk.ask(desk.holds.keep, taken.held, TERM) == {}
        first, *_ = await desk.active()
        await desk.ask(desk.kube.raw, "DELETE", f"{SILENCES}/{first}")
        found = await desk.ask(desk.holds.keep, taken.held, TERM)
        assert found == {BY_NODE: "somebody ended it: silenced again"}
        assert await desk.ask(desk.holds.keep, taken.held, TERM) == {}
        before = await desk.active()
        assert len(before) == 2
        later = Term("r1", "ana@laptop", "2399-01-01T00:00:00+00:00")
        assert await desk.ask(desk.holds.keep, taken.held, later) == {}
        after = await desk.active()
        assert after.keys() == before.keys()
        assert {s["endsAt"] for s in after.values()} == {later.until}

    tell(tmp_path, story)


def test_without_an_alertmanager_nothing_is_done_and_that_is_said(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        taken = await desk.ask(KubeHolds(desk.kube, NONE).take, ["alerts"], NODES, TERM)
        assert (taken.held, taken.failed) == ((), {})
        assert taken.told == ("alerts go on: the cluster file names no alertmanager",)
        assert (await desk.ask(KubeHolds(desk.kube, NONE).let_go, ["alerts"], "r1")).failed == {}
        assert await desk.active() == {}

    tell(tmp_path, story)


def test_an_alertmanager_that_is_away_is_no_silence(tmp_path: Path) -> None:
    async def story(desk: Desk) -> None:
        elsewhere = KubeHolds(desk.kube, Alertmanager("monitoring/other:9093"))
        taken = await desk.ask(elsewhere.take, ["alerts"], NODES, TERM)
        assert taken.held == ()
        assert "Alertmanager" in taken.failed["alerts"]

    tell(tmp_path, story)


def test_clear_ends_the_silences_of_a_run_that_has_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunSummary("r1", cluster="vanilla", end="held")
    monkeypatch.setattr(ConfigMapCheckpoint, "runs", lambda _self: (run,))

    async def story(desk: Desk) -> None:
        await desk.ask(desk.holds.take, ["alerts"], NODES, TERM)
        command = ["--matrix", str(matrix_dir()), "clear", "--holds", "--yes"]
        command += ["--kubeconfig", str(desk.kubeconfig)]
        done = await desk.ask(lambda: CliRunner().invoke(cli, command))
        assert done.exit_code == 0, done.output
        assert f"{BY_NODE}: goes on" in done.output
        assert await desk.active() == {}

    tell(tmp_path, story)
