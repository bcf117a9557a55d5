"""The objects in the files of a checkout, each with its scalars. Reads only; what is no plain YAML is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from knowngood.matrix.yaml_text import Mapping, Node, Scalar, Sequence, parse_all
from knowngood.model.errors import DataError, UsageError
from knowngood.planner.discover.seen import File

MAX_BYTES = 1024 * 1024
SUFFIXES = (".yaml", ".yml")
DEPTH = 40


def files_of(checkout: Path) -> tuple[tuple[File, ...], dict[str, str]]:
    """All objects, by file, and what could not be read: file -> why. UsageError where it is no folder."""
    if not checkout.is_dir():
        raise UsageError("there is no such folder", where=str(checkout), hint="name a checkout with --gitops")
    found: list[File] = []
    unread: dict[str, str] = {}
    for file in sorted(p for p in checkout.rglob("*") if p.suffix in SUFFIXES and ".git" not in p.parts):
        where = str(file.relative_to(checkout))
        try:
            if file.is_symlink() or file.stat().st_size > MAX_BYTES:
                unread[where] = "a link, or larger than a manifest is"
                continue
            found += _objects(file.read_bytes().decode("utf-8"), where)
        except UnicodeDecodeError:
            unread[where] = "not UTF-8"
        except OSError as error:
            unread[where] = str(error.strerror)
        except DataError as error:
            unread[where] = error.message
    return tuple(found), unread


def _objects(text: str, where: str) -> Iterator[File]:
    for document in parse_all(text, where):
        texts = dict(_walk(document, "", 0))
        if "kind" in texts and "metadata.name" in texts:
            yield File(
                where, texts["kind"], texts["metadata.name"], texts.get("metadata.namespace", ""), texts
            )


def _walk(node: Node | None, path: str, depth: int) -> Iterator[tuple[str, str]]:
    if isinstance(node, Scalar):
        yield path, node.text
    elif isinstance(node, Mapping) and depth < DEPTH:
        for key, value in node.entries:
            yield from _walk(value, f"{path}.{key.text}" if path else key.text, depth + 1)
    elif isinstance(node, Sequence) and depth < DEPTH:
        for index, value in enumerate(node.items):
            yield from _walk(value, f"{path}.{index}", depth + 1)
