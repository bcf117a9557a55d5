"""Which matrix a command reads. Of its own, because `validate` needs nothing else and should start at once."""

from __future__ import annotations

from pathlib import Path

from knowngood.cli.options import Settings
from knowngood.matrix.locate import matrix_dir


def matrix_folder(settings: Settings) -> Path:
    """`--matrix`, else ./matrix where a team keeps its own, else the shipped one."""
    own = Path("matrix")
    if settings.matrix is None and (own / "releases").is_dir():
        return own
    return matrix_dir(settings.matrix)
