"""The pytest plugin. It is an entry point, so every pytest run of its user loads it: it imports next to nothing and
does nothing without `--knowngood-context`."""

from __future__ import annotations

import pytest

_CONTEXT = "--knowngood-context"
_EVENTS = "--knowngood-events"


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
    config.pluginmanager.import_plugin("knowngood.gate.events")
    config.pluginmanager.import_plugin("knowngood.gate.fixtures")
    config.pluginmanager.import_plugin("knowngood.gate.probing")
    config.pluginmanager.import_plugin("knowngood.gate.driver")
    config.pluginmanager.import_plugin("knowngood.gate.neighbours")
    config.pluginmanager.import_plugin("knowngood.gate.operands")
    config.pluginmanager.import_plugin("knowngood.gate.parting")
    config.pluginmanager.import_plugin("knowngood.gate.images")
    config.pluginmanager.import_plugin("knowngood.gate.meeting")
