"""The handover page names what is changed, what is held, and commands that a human can type."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from tests.unit.engine.fakes import ports
from tests.unit.engine.scene import RINGS, a_cluster, a_hardware, a_plan, a_world
from tests.unit.engine.test_runs import sick
from tests.unit.engine.test_two_hops import LAST, standard, two_hops
from tests.unit.engine.world import OLD
from tests.unit.report.played import Played, calm, held, undone

from knowngood.engine.engine import Engine
from knowngood.model.gitops import PullRequests
from knowngood.model.marks import Marks
from knowngood.report.advice import headline, next_steps
from knowngood.report.handover import handover
from knowngood.report.summary import summarise


def page(run: Played) -> str:
    return handover(run.summary, a_plan(), a_cluster())


def test_standing_commits_are_reverted_newest_first_and_the_values_to_expect_are_named() -> None:
    run = held()
    text = page(run)
    standing = [c.commit for c in run.summary.commits if c.kind == "declare"]
    reverts = [line.split()[-1] for line in text.splitlines() if line.startswith("git revert")]
    assert reverts == list(reversed(standing))
    assert "# must read afterwards: nvidiadriver-ring-0.yaml: spec.version: 580.173.02" in text
    assert "git push origin HEAD:main" in text


def test_where_only_pull_requests_are_taken_the_prepared_branches_are_named() -> None:
    run, lab = held(), a_cluster()
    asked = replace(lab, gitops=replace(lab.gitops, pull_requests=PullRequests(("true",))))
    text = handover(run.summary, a_plan(), asked)
    standing = [c.commit for c in run.summary.commits if c.kind == "declare"]
    assert [f"branch knowngood/undo/{c[:12]}," in text for c in standing] == [True] * len(standing)
    assert "git push" not in text


def test_a_quarantined_node_is_named_with_the_command_that_gives_it_back() -> None:
    text = page(held())
    assert "- gpu-4: quarantined" in text
    assert "knowngood clear gpu-4" in text
    assert "clear gpu-3" not in text


def test_no_text_asks_a_human_to_take_our_marks_off_by_hand() -> None:
    """`knowngood clear` looks first whether an open run holds the node; kubectl does not."""
    for run in (held(), undone(), calm().until("hop-1/ring-0/batch-1/drain")):
        for word in ("taint node", "annotate node", "uncordon"):
            assert word not in page(run)


def test_a_run_killed_in_the_middle_of_claim_holds_what_the_nodes_say() -> None:
    """Unasked: it says that it does not know. Asked: the claimed node, and only that."""
    run = calm().until("hop-1/ring-0/batch-1/claim")
    assert "as of the journal" in page(run)
    assert "- gpu-1: unknown" in page(run)
    marks = {n: Marks() for n in run.summary.nodes} | {"gpu-1": Marks("run-1/1", "run-1", "", True)}
    text = handover(summarise(run.records, run.load, marks), a_plan(), a_cluster())
    assert "## What is held\n\n- gpu-1: claimed" in text
    assert "gpu-2: " not in text


def test_where_nothing_is_held_nothing_is_given_back() -> None:
    text = page(undone())
    assert "\n\nNothing.\n" in text.split("## What is held")[1]
    assert "# nothing: Git holds what it held before" in text
    assert "knowngood clear" not in text


def test_a_claimed_node_and_the_lease_of_a_run_that_goes_on_are_held() -> None:
    text = page(calm().until("hop-1/ring-0/batch-1/drain"))
    assert "- gpu-1: claimed" in text
    assert "- Lease `knowngood`" in text
    assert "knowngood resume run-1" in text


def test_openshift_gets_oc() -> None:
    cluster = replace(a_cluster(), traits={"platform": "openshift"})
    assert "oc describe node gpu-4" in handover(held().summary, a_plan(), cluster)


def test_of_two_hops_only_the_undone_one_is_taken_back() -> None:
    """hop-2's ring-0 was undone, hop-1's stands: its commit was left out, for both are of ring-0."""
    world = a_world()
    world.standard = standard
    world.bad = sick("gpu-1", version=LAST)
    engine = Engine(ports(world), two_hops(), a_cluster(), a_hardware(), "run-1")
    end = engine.run().end
    assert end is not None
    assert end.name == "restored"
    summary = summarise(world.records, lambda digest: json.loads(world.files[digest]))
    assert headline(summary).startswith("restored: back at the rest between two hops")
    assert next_steps(summary)[0] == "knowngood rollback ams-prod"
    text = handover(summary, two_hops(), a_cluster())
    first = [c.commit for c in summary.commits if c.step.startswith("hop-1/")]
    assert [f"git revert --no-edit {commit}" in text for commit in first] == [True] * 3
    expected = [line.split(": ", 1)[1] for line in text.splitlines() if line.startswith("# must read")]
    assert expected == [f"nvidiadriver-{ring}.yaml: spec.version: {OLD}" for ring in RINGS]


def test_a_commit_whose_push_got_no_answer_may_be_there_and_is_looked_for() -> None:
    """Killed between its push and its answer: "nothing" would be a guess."""
    run = calm().until("hop-1/ring-0/declare")
    text = page(run)
    assert "ring-0: its commit got no answer, and may be on the branch" in text
    assert "Git holds what it held before" not in text
    assert (
        "git log --oneline --all-match --grep 'Knowngood-Run: run-1' --grep 'Knowngood-Ring: ring-0'" in text
    )
    lab = a_cluster()
    asked = replace(lab, gitops=replace(lab.gitops, pull_requests=PullRequests(("true",))))
    assert "whether its pull request of run run-1 was opened" in handover(run.summary, a_plan(), asked)


@pytest.mark.parametrize("now", [Marks("run-9/7", "run-9", "", True), None], ids=["taken", "gone"])
def test_a_node_that_another_run_has_taken_or_that_is_gone_is_not_ours_to_give_back(
    now: Marks | None,
) -> None:
    """Its driver pod is another run's affair, and `clear` would refuse it."""
    run = held()
    marks = {n: Marks() for n in run.summary.nodes if n != "gpu-4"} | ({"gpu-4": now} if now else {})
    text = handover(summarise(run.records, run.load, marks), a_plan(), a_cluster())
    assert "gpu-4: " in text.split("## What is held")[1].split("## What to type")[0]
    assert "knowngood clear" not in text
    assert "spec.nodeName=gpu-4" not in text


def test_of_a_claimed_node_only_what_is_there_is_told() -> None:
    """One that is held by our taint alone, as while a pool rolls, is not called cordoned."""
    run = calm().until("hop-1/ring-0/batch-1/drain")
    marks = {n: Marks() for n in run.summary.nodes} | {"gpu-1": Marks("run-1/1", "run-1", "", False)}
    text = handover(summarise(run.records, run.load, marks), a_plan(), a_cluster())
    assert "- gpu-1: out: claimed, without a cordon now\n" in text
