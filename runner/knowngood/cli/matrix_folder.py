"""Which matrix a command reads. Of its own, because `validate` needs nothing else and should start at once."""

from __future__ import annotations

from pathlib import Path

from knowngood.cli.options import SHIPPED, Settings
from knowngood.cli.terminal import say
from knowngood.matrix.locate import matrix_dir
from knowngood.model.errors import UsageError

MATRIX = "matrix"


def matrix_folder(settings: Settings) -> Path:
    """`--matrix`, else the nearest `matrix` folder from here upwards; it is said. UsageError where there is none."""
    folder = find(settings)
    tell(folder)
    return folder


def tell(folder: Path) -> None:
    """Say which one it is: what a command answers is worth no more than the data that it goes by."""
    say(f"matrix: {folder.absolute()}", err=True)


def find(settings: Settings) -> Path:
    """As `matrix_folder`, without a word."""
    named = settings.matrix
    if named is not None:
        return matrix_dir(None if named == SHIPPED else named)
    found = nearest()
    if found is None:
        raise UsageError(
            "there is no matrix here, nor in a folder above",
            where=str(Path.cwd()),
            hint="go to your operations repository, name one (--matrix DIR), or take ours: --matrix shipped",
        )
    return found


def nearest() -> Path | None:
    """The nearest `matrix` folder from the working directory upwards; None where there is none."""
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / MATRIX / "releases").is_dir():
            return Path(MATRIX) if folder == here else folder / MATRIX
    return None
