"""What a playbook's process says becomes an Outcome; what it does not say is a failure, never a success."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.movers import EVERY, moving

from knowngood.adapters.processes import ansible
from knowngood.adapters.processes.ansible_child import heard as passed_on
from knowngood.adapters.processes.supervisor import Completed
from knowngood.model.context import Window
from knowngood.model.errors import UsageError
from knowngood.model.matrix import Limits
from knowngood.model.mover import Again, Moving
from knowngood.model.progress import Progress
from knowngood.model.record import Record
from knowngood.ports.cancel import Cancel
from knowngood.ports.nodes import Outcome
from knowngood.ports.observer import Observer

NODES = ["gpu-1", "gpu-2"]


class Watcher(Observer):
    def __init__(self) -> None:
        self.said: list[Progress] = []

    def record(self, record: Record) -> None:
        raise AssertionError("no records here")

    def progress(self, progress: Progress) -> None:
        self.said.append(progress)


@pytest.fixture(name="heard")
def _heard() -> ansible.Heard:
    return ansible.Heard("drain", Watcher(), "gpu-1, gpu-2")


def result(verb: str = "drain", **answer: Any) -> str:
    told = {"verb": verb, "dry_run": False, **answer}
    return json.dumps({"event": "result", "task": "t", "failed": False, "res": {"knowngood": told}})


def test_a_modules_answer_is_the_outcome(heard: ansible.Heard) -> None:
    heard.line(result(done=["gpu-1"], given_back={"gpu-2": "budget"}, detail={"gpu-1": {"a": 1}}, calls=7))
    outcome = heard.outcome(NODES, "")
    assert (outcome.done, outcome.failed, outcome.given_back) == (("gpu-1",), {}, {"gpu-2": "budget"})
    assert outcome.detail == {"gpu-1": {"a": 1}}
    assert heard.calls == 7


def test_a_node_nobody_spoke_of_has_failed(heard: ansible.Heard) -> None:
    heard.line(result(done=["gpu-1"]))
    assert heard.outcome(NODES, "").failed == {"gpu-2": "the playbook said nothing about it"}


def test_a_node_that_failed_in_one_task_is_not_done_by_another(heard: ansible.Heard) -> None:
    heard.line(result(done=NODES))
    answer = {"knowngood": {"failed": {"gpu-1": "no"}}}
    heard.line(json.dumps({"event": "result", "task": "t", "failed": True, "res": answer}))
    outcome = heard.outcome(NODES, "")
    assert outcome.done == ("gpu-2",)
    assert outcome.failed == {"gpu-1": "no"}


def test_another_verb_of_a_teams_own_role_leaves_no_node_done(heard: ansible.Heard) -> None:
    """Its drain role claims once more, and does not drain."""
    heard.line(result("claim", done=NODES))
    outcome = heard.outcome(NODES, "")
    assert outcome.done == ()
    assert set(outcome.failed) == set(outcome.could_not) == set(NODES)


def test_a_verb_that_was_only_tried_leaves_no_node_done(heard: ansible.Heard) -> None:
    """A team's role drains with `check_mode: true`."""
    heard.line(result(done=NODES, dry_run=True))
    assert heard.outcome(NODES, "").done == ()


def test_another_verb_can_say_that_a_node_failed(heard: ansible.Heard) -> None:
    heard.line(result(done=NODES))
    heard.line(result("claim", failed={"gpu-2": "not ours"}))
    outcome = heard.outcome(NODES, "")
    assert (outcome.done, outcome.failed) == (("gpu-1",), {"gpu-2": "not ours"})


def test_a_task_of_a_teams_own_role_that_fails_leaves_no_node_done(heard: ansible.Heard) -> None:
    """Its role says done by our module first, and its own task after it did not pass."""
    heard.line(result(done=NODES))
    heard.line(json.dumps({"event": "result", "task": "theirs", "failed": True, "res": {"msg": "no"}}))
    outcome = heard.outcome(NODES, ansible._trouble(Completed(2, False, False, 1), 60.0, heard))
    assert outcome.done == ()
    assert set(outcome.failed) == set(outcome.could_not) == set(NODES)


def test_a_failure_that_a_role_takes_care_of_is_none(heard: ansible.Heard) -> None:
    """Rescued or ignored: the playbook ends well, and that is what counts."""
    heard.line(json.dumps({"event": "result", "task": "theirs", "failed": True, "res": {"msg": "no"}}))
    heard.line(result(done=NODES))
    heard.line('{"event": "finish", "rc": 0}')
    outcome = heard.outcome(NODES, ansible._trouble(Completed(0, False, False, 1), 60.0, heard))
    assert outcome.done == tuple(NODES)


def test_noise_is_no_answer_but_is_quoted_when_none_comes(heard: ansible.Heard) -> None:
    for line in ("Traceback (most recent call last)", "[1, 2]", '{"event": 5}', '"text"'):
        heard.line(line)
    trouble = ansible._trouble(Completed(4, False, False, 1, ("ERROR! no module",)), 60.0, heard)
    assert "ended with 4" in trouble
    assert "Traceback" in trouble
    assert "ERROR! no module" in trouble
    assert heard.outcome(NODES, trouble).failed == dict.fromkeys(NODES, trouble)


def test_a_playbook_that_never_finished_is_trouble_even_with_exit_code_0(heard: ansible.Heard) -> None:
    assert ansible._trouble(Completed(0, False, False, 1), 60.0, heard)
    heard.line('{"event": "finish", "rc": 0}')
    assert not ansible._trouble(Completed(0, False, False, 1), 60.0, heard)


def test_a_deadline_says_how_long_was_waited(heard: ansible.Heard) -> None:
    assert "within 120 s" in ansible._trouble(Completed(143, True, False, 1), 60.0, heard)


def test_progress_reaches_the_observer_with_its_node(heard: ansible.Heard) -> None:
    heard.line(json.dumps({"event": "progress", "node": "gpu-1", "text": "evicted vision/serve"}))
    watcher = heard.observer
    assert isinstance(watcher, Watcher)
    assert watcher.said == [Progress("drain", "drain", "gpu-1", "evicted vision/serve")]


def test_the_child_passes_on_failures_and_answers_only(capsys: pytest.CaptureFixture[str]) -> None:
    passed_on({"event": "verbose", "event_data": {}})
    passed_on({"event": "playbook_on_task_start", "event_data": {"task": "Drain"}})
    answer = {"knowngood": {"done": []}, "invocation": {"module_args": "large"}, "msg": "m"}
    passed_on({"event": "runner_on_failed", "event_data": {"task": "Drain", "res": answer}})
    said = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert said == [
        {"event": "task", "name": "Drain"},
        {
            "event": "result",
            "task": "Drain",
            "failed": True,
            "res": {"msg": "m", "knowngood": {"done": []}},
        },
    ]


def test_what_a_playbook_does_before_it_does_anything_is_nobodys_progress(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for action in ("ansible.builtin.include_role", "ansible.builtin.validate_argument_spec"):
        passed_on({"event": "playbook_on_task_start", "event_data": {"task": "t", "task_action": action}})
        passed_on({"event": "runner_on_ok", "event_data": {"task": "t", "task_action": action, "res": {}}})
    assert capsys.readouterr().out == ""
    missing = {"task": "t", "task_action": "ansible.builtin.include_role", "res": {"msg": "no such role"}}
    passed_on({"event": "runner_on_failed", "event_data": missing})
    assert json.loads(capsys.readouterr().out)["res"] == {"msg": "no such role"}


def test_nothing_of_our_environment_reaches_ansibles_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """ansible-runner writes the whole environment beside its artifacts; ours may hold a token."""
    monkeypatch.setenv("KNOWNGOOD_GIT_TOKEN", "secret")
    work = object.__new__(ansible.AnsibleNodeWork)
    work._kubeconfig = Path("/x")
    assert "secret" not in work._environment(Path("/tmp")).values()  # noqa: S108


def test_every_text_on_its_way_to_ansible_is_marked_as_no_template() -> None:
    marked = ansible.untemplated({"a": ["{{ x }}", ("y", 1)], "b": {"c": "", "d": None, "e": True, "f": 1.5}})
    assert marked == {
        "a": [{ansible.UNSAFE: "{{ x }}"}, [{ansible.UNSAFE: "y"}, 1]],
        "b": {"c": {ansible.UNSAFE: ""}, "d": None, "e": True, "f": 1.5},
    }


def test_half_a_surrogate_pair_does_not_stop_a_quarantine() -> None:
    assert ansible.untemplated("a \ud800 b") == {ansible.UNSAFE: "a ? b"}


@pytest.mark.parametrize("key", ["__ansible_unsafe", "__ansible_vault"])
def test_a_key_that_would_make_ansible_ignore_the_marks_is_refused(key: str) -> None:
    """Ansible's JSON reader fails on it, and its YAML reader, the next, takes every text for a template."""
    with pytest.raises(UsageError, match=key):
        ansible.untemplated({"tenants": [{key: "{{ x }}"}]})


class Told(ansible.AnsibleNodeWork):
    """What a playbook would be told."""

    def __init__(self) -> None:
        self._limits = Limits()
        self.more: dict[str, Any] = {}
        self.limit = 0.0

    def _play(self, *asked: Any) -> Outcome:
        self.limit, self.more = asked[3], asked[-1]
        return Outcome()


def test_where_an_operator_takes_one_node_after_the_other_the_playbook_has_the_time_of_all() -> None:
    """What waits inside it for the last node must not be ended with the first one's time."""
    told, firmware = Told(), Moving("nic-firmware", "28.46.1006", "28.47.1026", EVERY["nic-firmware"])
    told.apply(["gpu-1", "gpu-2", "gpu-3"], "r/1", (firmware,), Cancel())
    assert told.limit == 3 * Limits().apply
    told.apply(["gpu-1", "gpu-2", "gpu-3"], "r/1", moving("595.91.07"), Cancel())
    assert told.limit == Limits().apply, "drivers come at the same time"


def test_what_is_loaded_again_goes_to_the_role_that_can_though_another_moves_first() -> None:
    """A system that is booted into comes before the drivers, and can't be loaded a second time."""
    driver = moving("595.91.07")
    moves = (Moving("rhcos-kernel", "5.14.0-427", "5.14.0-570", EVERY["rhcos-kernel"]), *driver)
    told, since = Told(), {"gpu-1": Window("boot", 12.5, "2026-08-22T03:00:00Z")}
    told.apply(["gpu-1"], "r/1", moves, Cancel())
    assert told.more["knowngood_mover"] == "machine-config"
    told.load_again(["gpu-1"], "r/1", moves, Cancel(), how=Again.RELOAD, since=since)
    assert told.more["knowngood_mover"] == driver[0].spec.kind == "daemon-driver"
    assert set(told.more["knowngood_expect"]) == {"rhcos-kernel", "nvidia-driver"}
    with pytest.raises(UsageError, match="can reload a node"):
        told.load_again(["gpu-1"], "r/1", moves[:1], Cancel(), how=Again.RELOAD, since=since)
