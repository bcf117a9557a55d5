"""The pytest plugin. It is an entry point, so every pytest run of its user loads it: it imports next to nothing and
does nothing without `--knowngood-context`."""

from __future__ import annotations

import importlib

import pytest

_CONTEXT = "--knowngood-context"
_EVENTS = "--knowngood-events"
_PARTS = ("events", "fixtures", "probing", "driver", "neighbours", "operands", "parting", "images", "meeting")
"""Imported as any module is: pytest would parse and rewrite a plugin's each time anew, for asserts that none has."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Our two options."""
    group = parser.getgroup("knowngood")
    group.addoption(
        _CONTEXT, default="", metavar="FILE", help="judge: what is judged, as the runner wrote it"
    )
    group.addoption(_EVENTS, default="", metavar="FILE", help="judge: where the results go, as JSON lines")


def pytest_configure(config: pytest.Config) -> None:
    """With our options: load the fixtures and write events."""
    if not config.getoption(_CONTEXT):
        return
    if not config.getoption(_EVENTS):
        raise pytest.UsageError(f"{_CONTEXT} needs {_EVENTS}")
    for name in (f"knowngood.gate.{part}" for part in _PARTS):
        config.pluginmanager.register(importlib.import_module(name), name)
