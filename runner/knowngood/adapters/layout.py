"""A new operations repository: the shipped data as a team's own, in Git from the first minute."""

from __future__ import annotations

import shutil
from pathlib import Path

from knowngood.adapters.stage import commit_all
from knowngood.matrix.locate import data_root
from knowngood.model.errors import UsageError

PARTS = ("matrix", "gates", "playbooks")
README = """# Operations

- `matrix/`: components, rules, hardware profiles, releases, clusters. `knowngood validate` checks it.
- `gates/`: the shipped gates, to read and to copy from. `knowngood gate --list` says what each proves.
- `playbooks/`: the shipped playbooks and roles, to read and to run by hand. A role of yours in `playbooks/roles/` takes
  the place of ours of the same name.

First steps:

    knowngood rehearse ams-prod --to r595     # the example, on an embedded cluster
    cp matrix/clusters/ams-prod.yaml matrix/clusters/NAME.yaml    # then describe your own
    knowngood validate
    knowngood gate NAME --baseline            # reads only
"""
GITIGNORE = "rehearsals/\ndemo/\n.cache/\n"
WORKFLOW = """name: validate
on:
  pull_request:
    paths: ["matrix/**"]
permissions:
  contents: read
jobs:
  validate:
    # A runner of yours that has knowngood installed.
    runs-on: [self-hosted, knowngood]
    steps:
      - uses: actions/checkout@v4
        with:
          fetch-depth: 0 # to compare with where the branch began
          persist-credentials: false
      - run: knowngood validate --since "$BASE" --output github
        env:
          BASE: ${{ github.event.pull_request.base.sha }}
      - run: knowngood diff --since "$BASE" --output markdown >> "$GITHUB_STEP_SUMMARY"
        if: always()
        env:
          BASE: ${{ github.event.pull_request.base.sha }}
"""


def lay_out(folder: Path) -> None:
    """Fill `folder` and commit it. UsageError where it is not empty or can't be written."""
    folder = folder.absolute()
    if folder.exists() and any(folder.iterdir()):
        raise UsageError("the folder is not empty", where=str(folder), hint="name a new one")
    root = data_root()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for part in PARTS:
            shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
        shutil.rmtree(folder / "matrix" / "evidence", ignore_errors=True)
        (folder / "README.md").write_text(README)
        (folder / ".gitignore").write_text(GITIGNORE)
        workflow = folder / ".github" / "workflows" / "validate.yml"
        workflow.parent.mkdir(parents=True)
        workflow.write_text(WORKFLOW)
    except OSError as error:
        raise UsageError(f"can't write: {error.strerror}", where=str(error.filename or folder)) from error
    commit_all(folder / ".git", folder, "main", "What knowngood ships, to make our own")
