"""One screen: where it is, why it stopped, what to type next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.unit.engine.scene import a_plan
from tests.unit.report.played import calm, held, undone

from knowngood.model.declared import Scope
from knowngood.model.matrix import UndoClass
from knowngood.model.plan import Expected, Plan
from knowngood.report.advice import next_steps
from knowngood.report.columns import move, wrapped
from knowngood.report.demo_text import Act, demo_text
from knowngood.report.disturbance import Disturbed
from knowngood.report.html import html
from knowngood.report.plan_text import plan_text
from knowngood.report.summary import GateLine, JudgementLine
from knowngood.report.text import columns, count_rows, node_rows, summary_text, times, verdict_rows


def test_the_second_line_says_how_it_stands() -> None:
    for run, says in ((calm(), "done:"), (undone(), "restored:"), (held(), "held:")):
        assert summary_text(run.summary).splitlines()[1].strip().startswith(says)
    running = calm().until("hop-1/ring-0/soak").summary
    assert "running: hop-1/ring-0/soak" in summary_text(running)


def test_a_reason_is_not_told_twice() -> None:
    text = summary_text(undone().summary)
    head = text[: text.index("commits")]
    assert head.count("Xid 31") == 1


def test_past_its_point_of_no_return_nobody_is_told_to_take_it_back() -> None:
    stands = replace(held().summary, no_way_back="hop-1")
    text = summary_text(stands)
    assert "past its point of no return: hop-1 can't be undone" in text
    assert "knowngood rollback" not in text
    assert "mend what stopped it, then knowngood resume" in text
    stopped = replace(stands, end="", exit_code=None, interrupted="the API is away")
    assert next_steps(stopped)[0] == f"knowngood resume {stands.run}"
    assert "knowngood rollback" not in summary_text(stopped, undo_by="2026-11-29T12:00:00Z")
    assert "knowngood rollback" in summary_text(held().summary)


def test_tenants_whose_work_does_not_run_again_are_named() -> None:
    summary = replace(
        undone().summary,
        tenants={"vision": Disturbed(("vision/serve",), 2)},
        not_running={"vision": ("vision/serve 1/2",), "llm": ("llm/train 0/1",)},
    )
    text = summary_text(summary)
    assert "not running again: vision/serve 1/2" in text
    assert "llm" in text


def test_what_others_changed_is_told_of_the_first_nodes() -> None:
    told = {f"cpu-{i}": "label zone was a, is b" for i in range(5)}
    text = summary_text(replace(undone().summary, reported=told))
    assert "changed by others, not judged" in text
    assert "cpu-2       label zone was a, is b" in text
    assert "cpu-3" not in text
    assert "and 2 more" in text


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert columns([("a", "bb"), ("ccc",)]) == ["  a    bb", "  ccc"]
    assert columns([]) == []


def test_a_plan_says_canary_undo_class_and_point_of_no_return() -> None:
    plan = a_plan()
    text = plan_text(plan)
    assert "ring-0  canary  gpu-1, gpu-2" in text
    assert "(revert-disruptive)" in text
    assert "no point of no return" in text
    closed = replace(plan, hops=(replace(plan.hops[0], undo=UndoClass.FORWARD_ONLY),))
    assert "point of no return: hop-1" in plan_text(closed)


def hops(count: int, *changed: int, **change: Any) -> Plan:
    """A plan of so many hops; those numbered in `changed` are otherwise."""
    hop = a_plan().hops[0]
    found = (replace(hop, name=f"hop-{n}", **(change if n in changed else {})) for n in range(1, count + 1))
    return replace(a_plan(), hops=tuple(found))


def test_the_time_names_its_parts_and_what_nobody_knows() -> None:
    known, unknown = Expected(12_000, 5, 20, 3, 2000), Expected(6000, 5, 0, 3, 2000)
    assert "  time: about 3 h 20 min: 5 x 20 min, 3 soaks of 33 min 20 s\n" in plan_text(
        hops(1, 1, expected=known)
    )
    text = plan_text(hops(2, 2, expected=unknown))
    assert "  time: 100 min" not in text  # a lower bound says so
    assert "  time: 1 h 40 min and more: 3 soaks of 33 min 20 s, 5 turns of unknown length" in text
    assert "time in all: 1 h 40 min and more, 5 turns of unknown length" in text
    assert "time in all: about 3 h 20 min\n" in plan_text(hops(2, 2, expected=known))


def test_neighbouring_hops_are_named_as_a_range() -> None:
    text = plan_text(hops(6, 1, 2, 3, 6, scope=Scope.CLUSTER, rings=(), not_movable=("x",)))
    assert "no canary: hop-1 to hop-3, hop-6\n" in text
    assert "not yet movable by knowngood: hop-1 to hop-3, hop-6; make them by hand" in text
    assert text.count("\n  x\n") == 4, "each says why"
    assert "prove it first on another cluster" in text
    assert "every hop; make them by hand" in plan_text(hops(2, 1, 2, not_movable=("x",)))


def test_a_plan_without_hops_says_that_there_is_nothing_to_do() -> None:
    assert "nothing to do" in plan_text(replace(a_plan(), hops=()))


def test_the_demo_fails_where_the_oracle_disagrees_or_the_end_is_wrong() -> None:
    good = Act("an upgrade", "done", calm().summary, True, ())
    against = replace(good, against=("gpu-1 runs the wrong driver",))
    wrong = replace(good, ended_well=False, wanted="restored")
    assert "all acts ended as they should" in demo_text((good, good), Path("x"), 90)
    for act in (against, wrong):
        text = demo_text((good, act), Path("x"), 90)
        assert "FAILED" in text
        assert "DISAGREES" in text or "should have ended restored" in text


def test_the_demo_says_what_to_type_next() -> None:
    good = Act("an upgrade", "done", calm().summary, True, ())
    assert demo_text((good,), Path("x"), 90, ("knowngood status",)).endswith("next\n  knowngood status\n")


def test_the_demo_shows_what_the_oracle_saw_on_the_screen_and_in_the_report() -> None:
    run, saw = calm().summary, "gpu-1: drained once; nvidia 1 → 2 → 1"
    shown = demo_text((Act("an upgrade", "done", run, True, (), Path("x/runs/r"), (saw,)),), Path("x"), 90)
    assert f"  what the oracle saw\n    {saw}\n" in shown
    assert "journals     x/runs\n" in shown
    assert f"<li>{saw}</li>" in html((run,), seen={run.run: (saw,)})
    assert "oracle saw" not in html((run,)) + demo_text(
        (Act("an upgrade", "done", run, True, ()),), Path("x"), 90
    )


def judged(*verdicts: str, missing: tuple[str, ...] = ()) -> JudgementLine:
    """A judgement with one result a node."""
    results = tuple(
        GateLine("drift", f"gpu-{n}", verdict, "" if verdict == "pass" else "a long reason", {}, "", 0.1)
        for n, verdict in enumerate(verdicts, start=1)
    )
    return JudgementLine("passive", "fail", "", results, missing)


def test_a_judgement_in_one_line_has_counts_and_nodes_but_no_reasons() -> None:
    line = judged("pass", "fail", "fail", "inconclusive", missing=("drift/gpu-9",))
    told = "1 pass, 2 fail (gpu-2, gpu-3), 1 inconclusive (gpu-4), 1 gave no result (drift/gpu-9)"
    assert count_rows([line]) == [("passive", "fail", told)]


def test_of_many_reasons_three_are_told() -> None:
    ((*_, told),) = verdict_rows([judged(*["fail"] * 5)])
    assert told.count("a long reason") == 3
    assert told.endswith("; and 2 more")


def test_once_and_times() -> None:
    assert [times(n) for n in (0, 1, 2)] == ["0 times", "once", "2 times"]
    assert "out once" in {row[1] for row in node_rows(calm().summary)}


def test_a_long_value_goes_on_below_itself() -> None:
    lines = wrapped([("a", "one two three"), ("long", "x" * 30), ("none", "")], width=18)
    assert lines == ["  a     one two", "        three", "  long  " + "x" * 30, "  none"]


def test_a_plan_breaks_between_words_at_the_terminals_width() -> None:
    plan = hops(
        2,
        1,
        2,
        not_movable=("a reason of many words that no terminal of eighty columns has room for, at all",),
    )
    lines = plan_text(plan, 80).splitlines()
    assert max(map(len, lines)) <= 80
    words = " ".join(line.strip() for line in lines)
    assert words.count("a reason of many words that no terminal of eighty columns has room for") == 2
    assert max(map(len, plan_text(plan).splitlines())) > 80, "what is no terminal has lines without an end"


def test_what_goes_back_to_where_it_is_pinned_does_not_go_from_there_to_there() -> None:
    assert (move("r580", "r595"), move("r580", "r580")) == ("r580 → r595", "back to r580")


def test_a_plan_says_what_its_release_accepts_and_why() -> None:
    made = replace(a_plan(), accepts={"prefer-lts": "the fix is in no LTS branch yet"})
    told = f"\n{made.to_release} accepts\n  prefer-lts: the fix is in no LTS branch yet\n"
    assert told in plan_text(made)
    assert " accepts" not in plan_text(a_plan())
