"""The shipped playbooks over a module that only tells what it was given: no cluster is needed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from knowngood.matrix.locate import playbooks_dir
from knowngood.model.progress import Progress
from knowngood.model.record import Record
from knowngood.ports.observer import Observer

ECHO = """
import json, os
from ansible.module_utils.basic import AnsibleModule

KINDS = {"verb": "str", "fence": "str", "keep": "bool", "nodes": "list", "users": "list"}
KINDS |= dict.fromkeys(("cluster", "limits", "expect", "movers", "objects", "reasons", "since"), "dict")
module = AnsibleModule(argument_spec={name: {"type": kind} for name, kind in KINDS.items()})
if "ECHO" in os.environ:
    with open(os.environ["ECHO"], "a") as file:
        file.write(json.dumps(module.params) + "\\n")
told = {"verb": module.params["verb"], "done": list(module.params["nodes"]), "detail": {"given": module.params}}
module.exit_json(changed=False, knowngood=told)
"""


class Deaf(Observer):
    """Hears everything and keeps nothing."""

    def record(self, record: Record) -> None:
        """Ignored."""

    def progress(self, progress: Progress) -> None:
        """Ignored."""


def echoing(folder: Path) -> Path:
    """A copy of the shipped playbooks whose module echoes, also into the file that ECHO names."""
    playbooks = folder / "playbooks"
    shutil.copytree(playbooks_dir(), playbooks, ignore=shutil.ignore_patterns("__pycache__"))
    (module,) = playbooks.rglob("plugins/modules/node.py")
    module.write_text(ECHO)
    return playbooks


def echoed(file: Path) -> list[dict[str, Any]]:
    """What the module was given, call by call."""
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
