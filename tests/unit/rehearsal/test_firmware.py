"""Where a cluster declares firmware, a rehearsal's BMCs are the twin's, with images that are what the file says."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.unit.rehearsal.shipped import shipped

from knowngood.model.bmcs import Bmcs
from knowngood.rehearsal import firmware
from knowngood.rehearsal.compress import cluster_file
from knowngood.rehearsal.gitops import files
from knowngood.rehearsal.seed import seed
from knowngood.twin.seed import parse

PORT = 41443


def test_each_image_that_the_file_names_is_one_of_the_seeds_by_its_digest() -> None:
    rest = shipped("lab-firmware")
    at = Bmcs.of(firmware.named(rest, Path("/twin"), PORT))
    found = parse(seed(rest, "file:///x", PORT)).bmcs
    assert found is not None
    assert (found.bios, found.version, found.port) == ("2.7.4", "7.20.30.50", PORT)
    images = [image for versions in at.images.values() for image in versions.values()]
    assert len(images) == 4, "the versions of both releases, of both"
    for image in images:
        text = found.images[image.url.rpartition("/")[2]]
        assert hashlib.sha256(text.encode()).hexdigest() == image.sha256
    assert at.of_node("fw-gpu-1") == f"https://127.0.0.1:{PORT}/fw-gpu-1"
    assert (at.credentials, at.ca) == ("file:/twin/bmcs/user", "/twin/bmcs/ca.pem")


def test_git_has_a_rings_versions_in_one_object() -> None:
    found = files(shipped("lab-firmware"))["clusters/lab-firmware/gpu/firmware-ring-0.yaml"]
    assert found["data"] == {"ring": "ring-0", "bios": "2.7.4", "bmc": "7.20.30.50"}


def test_elsewhere_there_are_none_and_no_real_one_is_asked() -> None:
    rest = shipped("lab-small")
    assert (firmware.named(rest, Path("/twin"), PORT), firmware.seeded(rest, PORT)) == ({}, {})
    assert parse(seed(rest, "file:///x", PORT)).bmcs is None
    assert "bmcs" not in cluster_file(shipped("lab-firmware").cluster, "file:///x", 60.0)
