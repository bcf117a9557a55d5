"""The error tree as it is drawn is the error tree as it is."""

import importlib
import pkgutil
import re
from collections.abc import Iterator

import knowngood
from knowngood.model import errors
from knowngood.model.errors import KnowngoodError

ROW = re.compile(r"(?P<branch>[ │├└─]*)(?P<name>[A-Z]\w+) +(?P<code>\d+)  ")
APART = ("knowngood.twin", "knowngood.probe", "knowngood._data")
"""Processes of their own that know no error of ours."""


def drawn() -> Iterator[tuple[str, str, int]]:
    """(class, parent, exit code) of each row of the drawing."""
    above: dict[int, str] = {0: "KnowngoodError"}
    for line in (errors.__doc__ or "").splitlines():
        if row := ROW.match(line):
            depth = len(row["branch"].removeprefix("    ")) // 4
            above[depth] = row["name"]
            yield row["name"], above[depth - 1], int(row["code"])


def classes(root: type[KnowngoodError]) -> Iterator[tuple[str, str, int]]:
    for kind in (k for k in root.__subclasses__() if k.__module__.startswith("knowngood.")):
        yield kind.__name__, root.__name__, int(kind.exit_code)
        yield from classes(kind)


def test_the_tree_is_drawn_as_it_is() -> None:
    for module in pkgutil.walk_packages(knowngood.__path__, "knowngood."):
        if not module.name.startswith(APART):
            importlib.import_module(module.name)
    assert sorted(drawn()) == sorted(set(classes(KnowngoodError)))
