"""Which matrix this is, in one line: what `--version` and a frozen plan go by. Imports nothing that takes time."""

from __future__ import annotations

from knowngood.adapters.processes.git_environment import matrix_revision
from knowngood.cli.matrix_folder import find
from knowngood.cli.options import Settings
from knowngood.model.errors import UsageError


def named(settings: Settings) -> str:
    """The matrix's folder and its commit, or why there is none; never an error: it only tells."""
    try:
        folder = find(settings)
    except UsageError as none:
        return f"no matrix: {none}"
    commit, dirty = matrix_revision(folder)
    if not commit:
        return f"matrix {folder.absolute()}, in no Git repository"
    return f"matrix {folder.absolute()}, commit {commit}{' and uncommitted changes' if dirty else ''}"
