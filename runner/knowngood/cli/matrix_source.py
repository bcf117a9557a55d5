"""Finding things by name in the matrix, with an error that helps when they are not there."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from knowngood.adapters.processes.git_environment import matrix_revision
from knowngood.cli.matrix_folder import matrix_folder
from knowngood.cli.options import Settings
from knowngood.matrix.load import load as load_matrix
from knowngood.model.errors import UsageError
from knowngood.model.hardware import Hardware, pools_of
from knowngood.model.matrix import Cluster, Matrix, Release

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Source:
    """A loaded matrix and the folder it came from."""

    folder: Path
    matrix: Matrix

    def cluster(self, name: str) -> Cluster:
        """The cluster file of that name."""
        return pick(self.matrix.clusters, name, "cluster", self.folder / "clusters")

    def release(self, name: str) -> Release:
        """The release of that name."""
        return pick(self.matrix.releases, name, "release", self.folder / "releases")

    def hardware(self, cluster: Cluster) -> Hardware:
        """The hardware profiles of the cluster's nodes."""
        for name in pools_of(cluster):
            pick(self.matrix.profiles, name, "profile", self.folder / "profiles")
        return Hardware.of_cluster(cluster, self.matrix.profiles)


def load(settings: Settings) -> Source:
    """The matrix that is asked for, which is said; DataError with every problem in it."""
    return at(matrix_folder(settings))


def at(folder: Path) -> Source:
    """The matrix in a folder, with its Git revision; DataError with every problem in it."""
    commit, dirty = matrix_revision(folder)
    return Source(folder, load_matrix(folder, commit=commit, dirty=dirty))


def pick(values: Mapping[str, T], name: str, kind: str, where: Path) -> T:
    """One by name; UsageError that names the near ones."""
    if name in values:
        return values[name]
    near = difflib.get_close_matches(name, values, n=3) or sorted(values)
    raise UsageError(
        f"there is no {kind} {name!r}", where=str(where), hint=f"known: {', '.join(near)}" if near else ""
    )


def kubeconfig_of(settings: Settings) -> Path:
    """`--kubeconfig`, else $KUBECONFIG; UsageError where neither names a file that can be read."""
    path = settings.kubeconfig
    if path is None and (named := os.environ.get("KUBECONFIG", "").strip(os.pathsep)):
        from knowngood.adapters.kubernetes.kubeconfig import one_of  # noqa: PLC0415 (what no cluster needs)

        path = one_of(named)
    if path is None:
        raise UsageError("no cluster is named", hint="set --kubeconfig FILE or KUBECONFIG")
    if not path.is_file():
        raise UsageError(
            "there is no such kubeconfig", where=str(path), hint="check --kubeconfig or KUBECONFIG"
        )
    return path


def refuse_dirty(source: Source, *, allow_dirty: bool) -> None:
    """A plan must be made from what a commit names. UsageError, also where the matrix is in no repository."""
    if not source.matrix.commit:
        raise UsageError(
            "the matrix is in no Git repository, so nothing can be promoted",
            where=str(source.folder),
            hint="commit it first, or lay out a repository with knowngood init",
        )
    if source.matrix.dirty and not allow_dirty:
        raise UsageError(
            "the matrix has uncommitted changes",
            where=str(source.folder),
            hint="commit or drop them; --allow-dirty goes on and the evidence will name the commit only",
        )
