"""A rehearsal's machines run the pinned Talos and know the images that the cluster file names."""

from __future__ import annotations

from tests.unit.rehearsal.shipped import shipped

from knowngood.rehearsal.gitops import files
from knowngood.rehearsal.seed import seed
from knowngood.twin.seed import parse


def test_the_seed_has_what_the_cluster_file_says() -> None:
    rest = shipped("lab-talos")
    (declared,) = (d for d in rest.cluster.declarations if d.component == "talos")
    talos = parse(seed(rest, "file:///x")).talos
    assert talos is not None
    assert talos.version == rest.release.components["talos"]
    assert {version: image for image, version in talos.images.items()} == declared.images
    assert parse(seed(shipped("vanilla"), "file:///x")).talos is None


def test_git_has_version_and_image_of_each_ring() -> None:
    rest = shipped("lab-talos")
    (declared,) = (d for d in rest.cluster.declarations if d.component == "talos")
    found = files(rest)
    for ring in ("ring-0", "ring-1"):
        data = found[f"clusters/lab-talos/gpu/talos-{ring}.yaml"]["data"]
        assert (data["talos"], data["image"]) == ("1.13.7", declared.images["1.13.7"])
