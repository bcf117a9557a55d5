"""A small cluster that declares its OpenShift, and a release that differs from its own by that alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml
from tests.integration.play import RUN_DEADLINE, Ended, Play, staged

from knowngood.matrix.locate import matrix_dir

CLUSTER, PINNED, NEXT = "lab-small", "r580", "next"
BEFORE, OLD, MINOR = "4.18.51", "4.18.52", "4.19.42"
BETWEEN, SECOND = "4.19.41", "4.20.33"
"""A second minor from BEFORE on, and the release by which the channel leads there."""
KERNELS = {"4.18": "5.14.0-427.el9_4", "4.19": "5.14.0-570.el9_6", "4.20": "5.14.0-570.el9_6"}
IMAGES = {
    v: f"mirror.example.com/ocp/release@sha256:{v.replace('.', '') * 13:0<64.64}"
    for v in (BEFORE, OLD, MINOR, BETWEEN, SECOND)
}
FOLDER = "clusters/lab-small/platform"
DECLARED = {
    "file": f"{FOLDER}/version.yaml",
    "path": "spec.desiredUpdate.version",
    "object": {"apiVersion": "config.openshift.io/v1", "kind": "ClusterVersion", "name": "version"},
    "images": IMAGES,
}


def matrix(folder: Path, before: str = OLD, after: str = MINOR) -> Path:
    """Ours, in which the small cluster says where Git declares its OpenShift, is on `before`, and may go to `after`."""
    shutil.copytree(matrix_dir(), folder)
    at = folder / "clusters" / f"{CLUSTER}.yaml"
    value = yaml.safe_load(at.read_text())
    value["declare"]["openshift"] = DECLARED
    value["gitops"]["applications"].append(
        {"name": "lab-small-platform", "namespace": "openshift-gitops", "path": FOLDER}
    )
    at.write_text(yaml.safe_dump(value))
    release = yaml.safe_load((folder / "releases" / f"{PINNED}.yaml").read_text())
    for name, version in ((PINNED, before), (NEXT, after)):
        release["components"] |= {"openshift": version, "rhcos-kernel": KERNELS[version[:4]]}
        (folder / "releases" / f"{name}.yaml").write_text(yaml.safe_dump(release))
        release.pop("supersedes", None)
    return folder


@contextmanager
def declared(
    folder: Path, limits: Mapping[str, float] | None = None, *, before: str = OLD, after: str = MINOR
) -> Iterator[Play]:
    """Its twin, at rest."""
    source = matrix(folder / "matrix", before, after)
    with staged(folder / "stage", CLUSTER, source=source, limits=limits) as play:
        yield play


def moved(play: Play, releases: int = 1) -> Ended:
    """Move it, with the two words that such a move asks for. `releases`: how many there are on the way."""
    said = ("--accept-no-canary", "openshift", "--accept-forward-only")
    asked = ("upgrade", CLUSTER, "--to", NEXT, "--yes", "--output", "json", *said)
    return play.knowngood(*asked, deadline=releases * RUN_DEADLINE)
