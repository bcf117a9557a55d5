"""A step's path says where the step stands; nobody takes it apart by hand."""

import re
from pathlib import Path

import pytest

from knowngood.model.jsonable import from_json, to_json
from knowngood.model.state import RunState
from knowngood.model.steppath import NOWHERE, StepPath

PACKAGE = Path(__file__).parents[3] / "runner" / "knowngood"


@pytest.mark.parametrize(
    ("path", "verb", "hop", "ring", "part", "undo"),
    [
        ("observe", "observe", "", "", "", ""),
        ("hop-1/observe", "observe", "hop-1", "", "", ""),
        ("hop-1/ring-0/declare", "declare", "hop-1", "ring-0", "", ""),
        ("hop-1/ring-0/batch-2/drain", "drain", "hop-1", "ring-0", "batch-2", ""),
        ("hop-1/ring-0/undo/look", "look", "hop-1", "ring-0", "undo", "undo"),
        ("hop-1/ring-0/undo-2/all/verify", "verify", "hop-1", "ring-0", "undo-2", "undo-2"),
        ("hop-1/ring-0/hold/proven/release", "release", "hop-1", "ring-0", "hold", ""),
        ("undo-2/verify", "verify", "", "", "", "undo-2"),
        ("resume-1/reclaim", "reclaim", "", "", "", ""),
        ("hop-1/undo/batch-1/drain", "drain", "hop-1", "undo", "batch-1", ""),
        ("hop-1/hold/batch-1/drain", "drain", "hop-1", "hold", "batch-1", ""),
    ],
)
def test_a_path_says_where_its_step_stands(
    path: str, verb: str, hop: str, ring: str, part: str, undo: str
) -> None:
    """Also where a team calls a ring `undo` or `hold`."""
    step = StepPath(path)
    assert (step.verb, step.hop, step.ring, step.part, step.undo) == (verb, hop, ring, part, undo)
    assert step.is_undo == bool(undo)
    assert step.is_hold == (part == "hold")


def test_a_path_leads_to_its_neighbours() -> None:
    step = StepPath("hop-1/ring-0/batch-1/judge")
    assert step.sibling("retest") == "hop-1/ring-0/batch-1/retest"
    assert step.parent == "hop-1/ring-0/batch-1"
    assert step.within("hop-1/ring-0")
    assert not step.within("hop-1/ring")
    assert StepPath("prove").sibling("retest") == "retest"
    assert NOWHERE.child("a", "b") == "a/b"


def test_a_state_that_was_written_as_text_has_paths_again() -> None:
    state = RunState(intended=(StepPath("hop-1/ring-0/declare"),), open=StepPath("hop-1/ring-0/declare"))
    again = from_json(RunState, to_json(state))
    assert again == state
    assert again.open.ring == again.intended[0].ring == "ring-0"


BY_HAND = re.compile(r"""r?(split|partition)\("/"|["/]/?(undo|hold)/["/]|endswith\("/""")
ALLOWED = {
    "model/steppath.py",
    "model/names.py",
    "model/marks.py",
    "model/alerts.py",
    "model/parts.py",
    "report/steps.py",
}
"""The type itself; the claim's value, a service's place and a port's (no paths of a step); and the place in words."""


def test_no_path_of_a_step_is_taken_apart_by_hand() -> None:
    found = {
        str(file.relative_to(PACKAGE))
        for part in ("engine", "model", "report")
        for file in (PACKAGE / part).rglob("*.py")
        if BY_HAND.search(file.read_text())
    }
    assert found - ALLOWED == set()
