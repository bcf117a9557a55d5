"""A rehearsal starts without what the pinned release does not name, or says before what is missing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.rehearsal.shipped import matrix

from knowngood.model.errors import UsageError
from knowngood.model.matrix import Release
from knowngood.rehearsal import gitops
from knowngood.rehearsal.at_rest import AtRest
from knowngood.rehearsal.unnamed import as_named, unnamed

LAB, VFS = matrix().clusters["lab-rdma"], "sriov-vfs"
PINNED = matrix().releases[LAB.release]
WITHOUT = replace(PINNED, name="r", components={n: v for n, v in PINNED.components.items() if n != VFS})
WITH = replace(WITHOUT, name="with", components={**WITHOUT.components, VFS: "8"})


def declared_files(to: Release) -> set[str]:
    """The files that a run reads what is declared from, of the cluster as a rehearsal starts it."""
    played = as_named(LAB, WITHOUT, to)
    assert played.raw["declare"].keys() == {d.component for d in played.declarations}
    return {d.of_ring(ring.name).file for d in played.declarations for ring in played.rings}


def test_the_lab_declares_what_only_some_releases_name() -> None:
    assert VFS in unnamed(LAB, WITHOUT)
    assert VFS not in unnamed(LAB, WITH)


def test_what_neither_release_names_is_left_out_and_every_file_that_is_read_is_there() -> None:
    rest = AtRest.of(matrix(), LAB)
    there = set(gitops.files(replace(rest, release=WITHOUT)))
    assert declared_files(WITHOUT) <= there
    assert not {d.of_ring(r.name).file for d in LAB.declarations for r in LAB.rings} <= there, (
        "else nothing was to be left out"
    )


def test_what_only_the_release_to_go_to_names_is_said_before() -> None:
    with pytest.raises(UsageError, match=f"declares {VFS}, with names it, and r, .* does not") as told:
        as_named(LAB, WITHOUT, WITH)
    assert "name in" in told.value.hint


def test_a_cluster_whose_release_names_all_that_it_declares_stays_as_it_is() -> None:
    cluster = matrix().clusters["ams-prod"]
    pinned = matrix().releases[cluster.release]
    assert as_named(cluster, pinned, WITH) is cluster
