"""Python sources as trees, for tests that look at the code."""

from __future__ import annotations

import ast
import gc


def tree_of(source: str, feature_version: tuple[int, int] | None = None) -> ast.Module:
    """The source's tree.

    Without the garbage collector: before 3.11.8 another thread that parses while a collection lets it run makes this
    one end with SystemError, "AST constructor recursion depth mismatch" (python/cpython#106905, #113035).
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source, feature_version=feature_version)
    finally:
        if collects:
            gc.enable()
