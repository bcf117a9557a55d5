"""A source that is tagged by OpenShift's minor goes to the next one's index, once that release is complete."""

from __future__ import annotations

from pathlib import Path

from tests.integration.twin.behaviour import Play, play
from tests.integration.twin.olm_stage import CONTENT, OLM_KINDS, cast, made

from knowngood.twin.behaviours.cvo_payloads import CLUSTER_VERSION
from knowngood.twin.behaviours.olm_objects import CATALOG

HERE, NEXT, OWN = (
    "mirror.example.com/index:v4.18",
    "mirror.example.com/index:v4.19",
    "mirror.example.com/own:v7",
)
PAYLOADS = [{"version": v, "image": f"mirror.example.com/ocp@{v}"} for v in ("4.18.52", "4.19.41", "4.20.33")]


def image(stage: Play, name: str) -> str:
    return str(stage.get(CATALOG, name)["spec"]["image"])


async def moved(stage: Play, *history: tuple[str, str]) -> None:
    """The cluster-version operator has written its history."""
    rows = [
        {"version": v, "state": state, "image": "i", "startedTime": "2026-08-22T03:00:00Z"}
        for v, state in history
    ]
    live = await stage.client.get(CLUSTER_VERSION, "version")
    await stage.client.replace({**live, "status": {**live["status"], "history": rows}}, subresource="status")


def test_it_follows_a_release_that_is_complete_to_an_index_that_is_there(tmp_path: Path) -> None:
    async def story(stage: Play) -> None:
        for name, at in (("cat", HERE), ("own", OWN)):
            await stage.client.create(made("CatalogSource", name, {"sourceType": "grpc", "image": at}))
        await moved(stage, ("4.19.41", "Partial"), ("4.18.52", "Completed"))
        await stage.quiet()
        assert image(stage, "cat") == HERE, "it is on its way only"
        await moved(stage, ("4.19.41", "Completed"), ("4.18.52", "Completed"))
        await stage.until("the next index", lambda: image(stage, "cat") == NEXT)
        await moved(stage, ("4.20.33", "Completed"), ("4.19.41", "Completed"))
        await stage.quiet()
        assert image(stage, "cat") == NEXT, "the mirror has no later one"
        assert image(stage, "own") == OWN, "a tag that is no minor says nothing"

    kinds = [*OLM_KINDS, CLUSTER_VERSION]
    release = {"payloads": PAYLOADS}
    olm = {"catalogs": {HERE: CONTENT, NEXT: CONTENT, OWN: CONTENT}}
    play(tmp_path, story, cast, kinds=kinds, olm=olm, clusterVersion=release)
