"""What the pytest process does, and what the runner makes of it. Real pytest, real supervisor."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from knowngood.adapters.judging import gate_events
from knowngood.adapters.judging.pytest_gates import PytestGates, environment
from knowngood.model.errors import Interrupted
from knowngood.model.hardware import Hardware
from knowngood.model.progress import Progress
from knowngood.model.record import Record
from knowngood.model.verdict import Judgement, Verdict
from knowngood.ports.cancel import Cancel
from knowngood.ports.observer import Observer

from .conftest import Judge, cluster, judge_in, profile, request

PASSING = "def test_it(node): pass"


def test_a_gate_passes_fails_or_cannot_tell_for_each_node(judge: Judge) -> None:
    found = judge(
        speed="""
        from knowngood.gate import judge, measure, ran_on
        def test_speed(node):
            ran_on("reference")
            measure(GBps=3.5)
            if node == "gpu-1": judge.fail("too slow")
            if node == "gpu-2": judge.inconclusive("no answer")
            judge.note("fast")
        """,
        fields={"nodes": ("gpu-1", "gpu-2", "gpu-3")},
    )
    assert found.trouble == ""
    assert {r.node: (r.verdict, r.reason) for r in found.results} == {
        "gpu-1": (Verdict.FAIL, "too slow"),
        "gpu-2": (Verdict.INCONCLUSIVE, "no answer"),
        "gpu-3": (Verdict.PASS, "fast"),
    }
    assert found.results[0].measured == {"GBps": 3.5}
    assert found.results[0].backend == "reference"
    assert found.of_node("gpu-3") is Verdict.PASS


def test_several_tests_of_a_gate_fold_to_the_worst(judge: Judge) -> None:
    found = judge(
        two="""
        from knowngood.gate import judge, measure
        def test_a(node): measure(a=1)
        def test_b(node):
            measure(b=2)
            judge.inconclusive("cannot tell")
        """
    )
    (result,) = found.results
    assert (result.verdict, result.reason) == (Verdict.INCONCLUSIVE, "cannot tell")
    assert result.measured == {"a": 1, "b": 2}


def test_large_figures_go_to_a_file_by_digest_and_come_back_whole(judge: Judge, tmp_path: Path) -> None:
    large = """
        from knowngood.gate import measure
        def test_large(node): measure(counters=[f"a counter {i}" for i in range(3000)])
        """
    (result,) = judge(large=large).results
    assert (result.verdict, len(result.measured["counters"])) == (Verdict.PASS, 3000)
    (file,) = tmp_path.rglob("measured-*.json")
    events = next(tmp_path.rglob("events.jsonl"))
    assert len(events.read_text()) < 4096
    file.write_text(file.read_text().replace("counter 7", "counter 8"))
    assert "is not what was measured" in gate_events.read(events).trouble
    file.unlink()
    assert "can't be read" in gate_events.read(events).trouble


HEAD = "import pytest\nfrom knowngood.gate import judge, measure\n"
BODIES = {
    "assertion": ("def test_it(node): assert 1 == 2, 'one is not two'", Verdict.FAIL, "one is not two"),
    "error": ("def test_it(node): {}['x']", Verdict.INCONCLUSIVE, "KeyError"),
    "skip_call": ("def test_it(node): pytest.skip('not here')", Verdict.INCONCLUSIVE, "skipped: not here"),
    "skip": ("@pytest.mark.skip\ndef test_it(node): pass", Verdict.INCONCLUSIVE, "skipped"),
    "skipif": (
        "@pytest.mark.skipif(True, reason='x')\ndef test_it(node): pass",
        Verdict.INCONCLUSIVE,
        "skipped",
    ),
    "xfail": ("@pytest.mark.xfail\ndef test_it(node): assert False", Verdict.INCONCLUSIVE, "xfail"),
    "xpass": ("@pytest.mark.xfail\ndef test_it(node): pass", Verdict.INCONCLUSIVE, "xfail"),
    "xfail_call": ("def test_it(node): pytest.xfail('known')", Verdict.INCONCLUSIVE, "known"),
    "setup": (
        "@pytest.fixture\ndef x(): 1/0\ndef test_it(node, x): pass",
        Verdict.INCONCLUSIVE,
        "setup: Zero",
    ),
    "setup_verdict": (
        "@pytest.fixture\ndef x(): judge.inconclusive('no log')\ndef test_it(node, x): pass",
        Verdict.INCONCLUSIVE,
        "no log",
    ),
    "teardown": (
        "@pytest.fixture\ndef x():\n    yield\n    1/0\ndef test_it(node, x): pass",
        Verdict.INCONCLUSIVE,
        "teardown: Zero",
    ),
    "no_fixture": ("def test_it(node, nothing): pass", Verdict.INCONCLUSIVE, "setup: "),
    "unreachable": ("def test_it(node, states): pass", Verdict.INCONCLUSIVE, "setup: UsageError"),
    "swallowed": (
        "def test_it(node):\n    try: judge.fail('bad')\n    except Exception: pass",
        Verdict.FAIL,
        "bad",
    ),
    "exit": ("def test_it(node): raise SystemExit(0)", Verdict.INCONCLUSIVE, "SystemExit"),
    "too_much": ("def test_it(node): measure(x='y' * 300_000)", Verdict.INCONCLUSIVE, "262144 bytes"),
}
EMPTY = {
    "empty": "",
    "no_test": "def check(node): pass",
    "import_error": "import nowhere",
    "syntax_error": "def test_it(node:",
}


@pytest.fixture(scope="module")
def bad_company(tmp_path_factory: pytest.TempPathFactory) -> Judgement:
    """All the bad gates and a good one, judged together on two nodes."""
    gates = {name: HEAD + body for name, (body, _, _) in BODIES.items()} | EMPTY | {"fine": PASSING}
    judge = judge_in(tmp_path_factory.mktemp("bad"))
    return judge(required=(*gates, "absent"), fields={"nodes": ("gpu-1", "gpu-2")}, **gates)


@pytest.mark.parametrize("name", BODIES)
def test_whatever_is_not_a_plain_return_is_never_a_pass(bad_company: Judgement, name: str) -> None:
    _, verdict, reason = BODIES[name]
    results = [r for r in bad_company.results if r.gate == name]
    assert [r.verdict for r in results] == [verdict, verdict]
    assert all(reason in r.reason for r in results), results


@pytest.mark.parametrize("name", [*EMPTY, "absent"])
def test_a_required_gate_that_gives_no_result_is_missing(bad_company: Judgement, name: str) -> None:
    assert (name, "gpu-1") in bad_company.missing
    assert (name, "gpu-2") in bad_company.missing


def test_a_good_gate_is_judged_in_bad_company_too(bad_company: Judgement) -> None:
    assert [r.verdict for r in bad_company.results if r.gate == "fine"] == [Verdict.PASS, Verdict.PASS]


def test_a_missing_gate_makes_a_pass_inconclusive(judge: Judge) -> None:
    found = judge(required=("fine", "absent"), fine=PASSING)
    assert [r.verdict for r in found.results] == [Verdict.PASS]
    assert found.verdict is Verdict.INCONCLUSIVE


def test_a_gate_that_ends_the_session_while_imported_makes_all_inconclusive(judge: Judge) -> None:
    found = judge(fine=PASSING, leaves="raise SystemExit(0)")
    assert found.verdict is Verdict.INCONCLUSIVE
    assert ("leaves", "gpu-1") in found.missing


def test_without_any_gate_nothing_passes(judge: Judge) -> None:
    assert judge(required=("absent",)).verdict is Verdict.INCONCLUSIVE
    assert judge().verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import os\ndef test_it(node): os._exit(0)", "without finishing"),
        ("import os\ndef test_it(node): os.kill(os.getpid(), 9)", "without finishing"),
        ("import pytest\ndef test_it(node): pytest.exit('enough', 0)", "gave no result|did not run"),
        ("def test_it(node): raise KeyboardInterrupt", "gave no result|exit status|did not run"),
    ],
    ids=["exits", "is killed", "ends the session", "interrupts"],
)
def test_a_session_that_dies_is_inconclusive(judge: Judge, text: str, said: str) -> None:
    found = judge(dies=text)
    assert found.verdict is Verdict.INCONCLUSIVE
    words = found.trouble + " ".join(r.reason for r in found.results)
    assert any(word in words for word in said.split("|")), words


def test_a_gate_that_hangs_ends_at_the_deadline_with_all_it_started(judge: Judge, tmp_path: Path) -> None:
    note = tmp_path / "pid"
    hangs = f"""
    import subprocess, time
    def test_it(node):
        child = subprocess.Popen(["sleep", "600"], start_new_session=True)
        open({str(note)!r}, "w").write(str(child.pid))
        time.sleep(600)
    """
    found = judge(hangs=hangs, fine=PASSING, fields={"deadline": 8.0})
    assert "did not end within 8 s" in found.trouble
    assert found.verdict is Verdict.INCONCLUSIVE
    assert not Path("/proc", note.read_text()).exists()


def test_a_cancelled_judgement_ends_at_once(judge: Judge) -> None:
    cancel = Cancel()
    threading.Timer(1.5, cancel.set, ["INT"]).start()
    started = time.monotonic()
    with pytest.raises(Interrupted):
        judge(hangs="import time\ndef test_it(node): time.sleep(600)", cancel=cancel)
    assert time.monotonic() - started < 30


EVERYTHING_PASSES = """
import pytest
@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    report.outcome = "passed"
    return report
def pytest_collection_modifyitems(items):
    items[:] = []
"""


def test_nothing_in_the_working_directory_or_the_environment_changes_a_verdict(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stray conftest.py that once turned a failing gate into a pass, and its relatives."""
    for folder in (tmp_path, tmp_path / "run", tmp_path / "run" / "gates"):
        folder.mkdir(exist_ok=True)
        (folder / "conftest.py").write_text(EVERYTHING_PASSES)
        (folder / "pytest.ini").write_text("[pytest]\naddopts = -k nothing\n")
        (folder / "sitecustomize.py").write_text("raise SystemExit(0)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k nothing")
    monkeypatch.setenv("PYTEST_PLUGINS", "conftest")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "conftest.py"))
    found = judge(bad="def test_it(node): assert False, 'bad'", fine=PASSING)
    assert {r.gate: r.verdict for r in found.results} == {"bad": Verdict.FAIL, "fine": Verdict.PASS}
    assert found.trouble == ""


@pytest.mark.parametrize(
    "hook",
    [
        EVERYTHING_PASSES,
        "def pytest_pyfunc_call(pyfuncitem):\n    return True\n",
        "def pytest_runtest_protocol(item, nextitem):\n    return True\n",
    ],
    ids=["report", "call", "protocol"],
)
def test_a_conftest_beside_the_gates_is_not_loaded(judge: Judge, tmp_path: Path, hook: str) -> None:
    (tmp_path / "gates").mkdir()
    (tmp_path / "gates" / "conftest.py").write_text(hook)
    found = judge(bad="def test_it(node): assert False, 'bad'")
    assert [(r.verdict, r.reason) for r in found.results] == [(Verdict.FAIL, "bad")]


def test_the_observer_hears_of_each_result(judge: Judge) -> None:
    class Listener(Observer):
        def __init__(self) -> None:
            self.heard: list[Progress] = []

        def record(self, record: Record) -> None: ...

        def progress(self, progress: Progress) -> None:
            self.heard.append(progress)

    listener = Listener()
    judge(fine=PASSING, bad="def test_it(node): assert False, 'bad'", observer=listener)
    assert {(p.step, p.subject, p.text) for p in listener.heard} == {
        ("hop-1/ring-0/judge", "fine gpu-1", "pass"),
        ("hop-1/ring-0/judge", "bad gpu-1", "fail: bad"),
    }


def test_a_judgement_leaves_its_files_and_a_second_one_keeps_them(judge: Judge, tmp_path: Path) -> None:
    first, second = judge(fine=PASSING), judge(fine=PASSING)
    assert first.artifacts["junit.xml"] == "gates/hop-1-ring-0-judge/junit.xml"
    assert second.artifacts["junit.xml"] == "gates/hop-1-ring-0-judge.2/junit.xml"
    assert "fine" in (tmp_path / "run" / first.artifacts["junit.xml"]).read_text()
    context = json.loads((tmp_path / "run" / first.artifacts["context.json"]).read_text())
    assert (context["schema"], context["request"]["nodes"]) == (1, ["gpu-1"])


def test_secrets_and_steering_variables_do_not_reach_the_gates() -> None:
    given = {
        "PATH": "/bin",
        "OPS_TOKEN": "s3cret",
        "PYTHONPATH": "x",
        "PYTEST_ADDOPTS": "-k no",
        "HOME": "/h",
    }
    kept = environment(given, "env:OPS_TOKEN")
    assert set(kept) == {"PATH", "HOME", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "LC_ALL"}


LOADED = """
import pytest
from knowngood.model.mover import Mark
from knowngood.model.node import NodeState

@pytest.fixture(scope="session")
def states():
    marks = {"nvidia-driver": Mark("595.91.07", "boot", 7.0), "doca-ofed": Mark("26.01", "boot", 5.0)}
    return {"gpu-1": NodeState("gpu-1", reachable=True, marks=marks)}

def test_it(load):
    assert (load.boot_id, load.monotonic) == ("boot", 7.0)
"""


def test_a_judge_that_reads_the_loads_itself_counts_from_the_newest_mark(judge: Judge) -> None:
    judgement = judge(fine=LOADED, fields={"loads_as_read": True})
    assert judgement.verdict is Verdict.PASS


def test_a_teams_own_gate_is_read_beside_ours_and_takes_no_name_of_ours(tmp_path: Path) -> None:
    """Theirs judges too, and is part of what evidence is bound to; one of our name there is not read."""
    ours, theirs = tmp_path / "gates", tmp_path / "ops" / "gates"
    for folder in (ours, theirs):
        folder.mkdir(parents=True)
    (ours / "drift.py").write_text("def test_drift(node): pass\n")
    (theirs / "drift.py").write_text("def test_drift(node): assert False\n")
    (theirs / "mounts.py").write_text("def test_mounts(node): assert False, 'no mount'\n")
    nowhere = tmp_path / "no-kubeconfig"
    gates = PytestGates(
        cluster(), Hardware((profile(),)), None, nowhere, tmp_path / "run", ours, None, theirs
    )
    found = gates.judge(request(("drift", "mounts")), Cancel())
    assert {(r.gate, r.verdict) for r in found.results} == {("drift", Verdict.PASS), ("mounts", Verdict.FAIL)}
    with_theirs = gates.suite().digest
    (theirs / "drift.py").write_text("# another\n")
    assert gates.suite().digest == with_theirs
    (theirs / "mounts.py").write_text("def test_mounts(node): pass\n")
    assert gates.suite().digest != with_theirs
