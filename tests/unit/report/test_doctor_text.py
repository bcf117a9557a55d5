"""What doctor prints: a fix that several findings share stands once, below them."""

from __future__ import annotations

from knowngood.model.examination import Examination, Line
from knowngood.model.finding import refused
from knowngood.report.doctor_text import doctor_text


def test_a_fix_of_several_findings_is_said_once() -> None:
    found = [refused("", f"no right to {verb} nodes", "grant it") for verb in ("get", "list")]
    other = refused("", "the clock is wrong", "set it")
    rights = Line("rights", "every right", [*found, other])
    said = str(doctor_text(Examination("prod", (rights,)), 80))
    assert said.index("list nodes") < said.index("grant it") < said.index("clock is wrong")
    assert (said.count("grant it"), said.count("set it")) == (1, 1)
