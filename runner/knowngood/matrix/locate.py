"""Finds the data that ships with the program: `matrix/`, `gates/` and `playbooks/`.

Installed, it lies in `_data` beside the package; in a checkout, at the top. An editable install is a checkout,
so nothing stale is ever read.
"""

from __future__ import annotations

import os
from pathlib import Path

from knowngood.model.errors import UsageError

_PACKAGE = Path(__file__).resolve().parents[1]
DATA = ("components", "releases", "rules", "profiles", "clusters", "edges", "evidence")
"""The folders of a matrix that hold its data."""


def data_root(package: Path = _PACKAGE) -> Path:
    """The folder that holds `matrix/`, `gates/` and `playbooks/`; UsageError where there is none."""
    installed = package / "_data"
    if installed.is_dir():
        return installed
    checkout = package.parents[1]
    if (checkout / "pyproject.toml").is_file() and (checkout / "matrix").is_dir():
        return checkout
    raise UsageError(
        "the shipped matrix, gates and playbooks are missing",
        where=str(package),
        hint="install knowngood from its wheel, or run it from a checkout",
    )


def matrix_dir(override: Path | None = None) -> Path:
    """The matrix to read: `override` (`--matrix`), else the shipped one; UsageError where it is no folder."""
    if override is None:
        return data_root() / "matrix"
    if not override.is_dir():
        raise UsageError(
            "there is no such matrix folder",
            where=str(override),
            hint="--matrix names a folder with components/, releases/, rules/, profiles/ and clusters/",
        )
    return override


def matrix_of(file: Path) -> tuple[Path, str]:
    """The matrix folder that holds a data file, and the file's place in it; UsageError where there is none."""
    if not os.path.lexists(file):
        hint = "name a matrix or one of its files"
        raise UsageError("there is no such file or folder", where=str(file), hint=hint)
    try:
        place = file.parent.resolve() / file.name
    except (OSError, RuntimeError):  # a loop of links
        place = file.absolute()
    for folder in place.parents:
        if (folder / "releases").is_dir() and (folder / "components").is_dir():
            if place.relative_to(folder).parts[0] not in DATA:
                break  # a schema, or a page about the matrix: nobody looks at it
            return folder, str(place.relative_to(folder))
    raise UsageError(
        "this is no data file of a matrix",
        where=str(file),
        hint=f"name a file below {', '.join(f'{name}/' for name in DATA[:-1])} or {DATA[-1]}/",
    )


def schema_dir() -> Path:
    """The schemas; always the shipped ones, so that data can't widen what is allowed."""
    return data_root() / "matrix" / "schema"


def gates_dir() -> Path:
    """The shipped gate suites."""
    return data_root() / "gates"


def own_gates(matrix: Path) -> Path | None:
    """A team's own gates, beside its matrix: what is there and not shipped is theirs, and read beside ours."""
    folder = matrix.absolute().parent / "gates"
    return folder if folder.is_dir() and folder.resolve() != gates_dir().resolve() else None


def playbooks_dir() -> Path:
    """The shipped playbooks."""
    return data_root() / "playbooks"


def own_roles(matrix: Path) -> tuple[Path, tuple[str, ...]]:
    """Where a team's own roles would lie, beside its matrix, and the names of those that take the place of ours.

    As `playbooks/role.yml` asks: any folder of one of our names, whatever is in it. Others are theirs to include.
    """
    folder = matrix.absolute().parent / "playbooks" / "roles"
    ours = playbooks_dir() / "collections" / "ansible_collections" / "knowngood" / "fleet" / "roles"
    names = sorted(path.name for path in ours.iterdir())
    return folder, tuple(name for name in names if (folder / name).is_dir())
