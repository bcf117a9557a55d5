"""Which matrix a command reads. Of its own, because `validate` needs nothing else and should start at once."""

from __future__ import annotations

from pathlib import Path

from knowngood.cli.options import Settings
from knowngood.cli.terminal import say
from knowngood.matrix.locate import matrix_dir

SHIPPED = Path("shipped")
"""What `--matrix` says for the one that comes with the program."""
MATRIX = "matrix"


def matrix_folder(settings: Settings) -> Path:
    """`--matrix`, else the nearest `matrix` folder from here upwards, else the shipped one: that is said."""
    named = settings.matrix
    if named is not None:
        return matrix_dir(None if named == SHIPPED and not named.is_dir() else named)
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / MATRIX / "releases").is_dir():
            return Path(MATRIX) if folder == here else folder / MATRIX
    say("no matrix is here, nor above: this is the shipped one (--matrix shipped names it)", err=True)
    return matrix_dir()
