"""Argo CD on a real Git repository: what it applies, when, and what it does not do."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from tests.integration.twin.setting import NEW, OLD
from tests.integration.twin.stage import Stage, play

from knowngood.twin.behaviours.kube import APPLICATION, NVIDIA_DRIVER


def test_a_refresh_applies_the_head_and_says_which_commit(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        commit = stage.repository.move("ring-0", NEW)
        app = await stage.sync(commit)
        assert app["status"]["sync"]["status"] == "Synced"
        operation = app["status"]["operationState"]
        assert (operation["phase"], operation["syncResult"]["revision"]) == ("Succeeded", commit)
        assert app["status"]["history"][-1]["revision"] == commit
        assert [await stage.version_of(ring) for ring in ("ring-0", "ring-1")] == [NEW, OLD]

    play(tmp_path, story)


def test_without_a_refresh_the_next_poll_finds_the_commit(tmp_path: Path) -> None:
    """180 s between two polls, divided by the time scale."""

    async def story(stage: Stage) -> None:
        commit = stage.repository.move("ring-0", NEW)

        def revision() -> str:
            app = stage.twin.cache.get(APPLICATION, "small-gpu", "openshift-gitops")
            assert app is not None
            return str(app["status"]["sync"]["revision"])

        await stage.until("the poll", lambda: revision() == commit)

    play(tmp_path, story)


def test_live_edits_of_what_git_holds_are_undone(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.client.patch(NVIDIA_DRIVER, "ring-0", {"spec": {"version": NEW}})

        def live() -> str:
            driver = stage.twin.cache.get(NVIDIA_DRIVER, "ring-0")
            assert driver is not None
            return str(driver["spec"]["version"])

        await stage.until("the edit is seen", lambda: live() == NEW)
        await stage.until("self-heal", lambda: live() == OLD)

    play(tmp_path, story, scale=60.0)


def test_a_file_that_goes_takes_its_object_with_it_and_a_field_that_goes_is_unset(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        folder = stage.repository.folder
        (folder / "nvidiadriver-ring-1.yaml").unlink()
        file = folder / "nvidiadriver-ring-0.yaml"
        obj = yaml.safe_load(file.read_text(encoding="utf-8"))
        del obj["spec"]["kernelModuleType"]
        file.write_text(yaml.safe_dump(obj), encoding="utf-8")
        await stage.sync(stage.repository.push("one ring only"))
        names = [obj["metadata"]["name"] for obj in (await stage.client.list(NVIDIA_DRIVER)).items]
        assert names == ["ring-0"]
        live = await stage.client.get(NVIDIA_DRIVER, "ring-0")
        assert live["spec"]["kernelModuleType"] == "auto", "the definition's default"

    play(tmp_path, story)


def test_a_commit_without_effect_moves_the_revision_and_starts_no_sync(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        before = stage.repository.move("ring-0", NEW)
        await stage.sync(before)
        app = await stage.sync(stage.repository.push("nothing"))
        assert app["status"]["sync"]["status"] == "Synced"
        assert app["status"]["operationState"]["syncResult"]["revision"] == before

    play(tmp_path, story)


def test_a_file_that_is_no_manifest_changes_nothing_and_is_named(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        (stage.repository.folder / "broken.yaml").write_text("a: [", encoding="utf-8")
        stage.repository.push("broken")
        await stage.client.patch(
            APPLICATION,
            "small-gpu",
            {"metadata": {"annotations": {"argocd.argoproj.io/refresh": "normal"}}},
            "openshift-gitops",
        )

        def errors() -> list[str]:
            app = stage.twin.cache.get(APPLICATION, "small-gpu", "openshift-gitops") or {}
            return [c["message"] for c in app["status"].get("conditions") or ()]

        await stage.until("a comparison error", lambda: any("broken.yaml" in text for text in errors()))
        assert await stage.version_of("ring-0") == OLD

    play(tmp_path, story)


def test_a_failed_commit_is_not_tried_again_and_its_revert_is_in_sync_without_a_sync(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        await stage.fault("argo-sync-fails", which="ours-only")
        commit = stage.repository.move("ring-0", NEW)
        app = await stage.sync(commit)
        assert app["status"]["sync"] == app["status"]["sync"] | {"status": "OutOfSync", "revision": commit}
        assert app["status"]["operationState"]["phase"] == "Failed"
        assert app["status"]["operationState"]["syncResult"]["revision"] == commit
        await stage.clear()
        app = await stage.sync(commit)
        assert app["status"]["operationState"]["phase"] == "Failed", "one try a commit"
        app = await stage.sync(stage.repository.revert())
        assert app["status"]["sync"]["status"] == "Synced"
        assert await stage.version_of("ring-0") == OLD

    play(tmp_path, story)


@pytest.mark.parametrize(("which", "after_revert"), [("revert-too", NEW), ("ring-0 to", OLD)])
def test_a_half_applied_commit_needs_a_revert_that_syncs(
    tmp_path: Path, which: str, after_revert: str
) -> None:
    """`revert-too` leaves the object changed and fails the revert as well; a subject fails that commit alone."""

    async def story(stage: Stage) -> None:
        await stage.fault("argo-sync-fails", which=which)
        app = await stage.sync(stage.repository.move("ring-0", NEW))
        assert app["status"]["operationState"]["phase"] == "Failed"
        await stage.sync(stage.repository.revert())
        assert await stage.version_of("ring-0") == after_revert

    play(tmp_path, story)


@pytest.mark.skipif(
    shutil.which("kubectl") is None, reason="kubectl, which renders kustomizations, is not installed"
)
def test_a_kustomization_is_rendered_by_kubectl(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        folder = stage.repository.folder
        kustomization = {
            "resources": sorted(file.name for file in folder.iterdir()),
            "patches": [
                {
                    "target": {"kind": "NVIDIADriver", "name": "ring-0"},
                    "patch": f'[{{"op": "replace", "path": "/spec/version", "value": "{NEW}"}}]',
                }
            ],
        }
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization), encoding="utf-8")
        app = await stage.sync(stage.repository.push("kustomize"))
        assert app["status"]["sync"]["status"] == "Synced"
        assert [await stage.version_of(ring) for ring in ("ring-0", "ring-1")] == [NEW, OLD]

    play(tmp_path, story)
