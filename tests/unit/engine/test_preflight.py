"""Preflight: every reason not to start ends the run before its first commit; a no is not a could-not-ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from tests.movers import DRIVER
from tests.unit.engine.fake_cluster import FakeReadiness
from tests.unit.engine.fake_registry import FakeRegistry
from tests.unit.engine.fakes import ports
from tests.unit.engine.scene import a_cluster, a_hardware, a_plan, a_world, an_engine
from tests.unit.engine.test_two_hops import LAST, two_hops
from tests.unit.engine.world import NEW, World

from knowngood.engine.engine import Engine
from knowngood.model.errors import ExitCode, Interrupted
from knowngood.model.field import FieldChange
from knowngood.model.finding import Finding, refused, unknown
from knowngood.model.progress import Progress
from knowngood.model.pulling import Pulling
from knowngood.model.record import Record
from knowngood.model.state import End
from knowngood.ports.observer import Observer
from knowngood.ports.registry import TARGET, Images, Looked

NO = refused("NVIDIADriver ring-0", "autoUpgrade is on", "set it to false")
MAYBE = unknown("the right to patch nodes", "could not be asked: 403", "log in")


def ended(world: World) -> End:
    end = an_engine(world).run().end
    assert end is not None
    return end


def untouched(world: World) -> None:
    assert [c.sha for c in world.commits] == ["c0"]
    assert not any(node.claim or node.cordoned for node in world.nodes.values())


@pytest.mark.parametrize(
    "call",
    [
        "tools",
        "room",
        "rights",
        "clock",
        "lease",
        "probes",
        "taking",
        "declared",
        "systems",
        "ready",
        "windows",
    ],
)
@pytest.mark.parametrize(
    ("finding", "name", "code"),
    [(NO, "refused", ExitCode.REFUSED), (MAYBE, "inconclusive", ExitCode.INCONCLUSIVE)],
)
def test_any_finding_ends_the_run_before_its_first_commit(
    call: str, finding: Finding, name: str, code: ExitCode
) -> None:
    world = a_world()
    world.found[call] = [finding]
    end = ended(world)
    assert (end.name, end.exit_code) == (name, code)
    assert str(finding) in end.why  # what, where, and what to do next
    untouched(world)


@pytest.mark.parametrize("version", [NEW, LAST], ids=["the first", "a later"])
def test_who_would_boot_nodes_in_any_hop_refuses_the_run_before_the_first(version: str) -> None:
    world = a_world()
    world.found[f"booting {version}"] = [NO]
    end = an_engine(world, plan=two_hops()).run().end
    assert end is not None
    assert (end.name, str(NO) in end.why) == ("refused", True), end.why
    untouched(world)


def test_all_findings_are_told_and_a_measured_no_outweighs_what_could_not_be_asked() -> None:
    world = a_world()
    world.found |= {"declared": [MAYBE], "ready": [NO]}
    end = ended(world)
    assert end.name == "refused"
    assert end.why.index(str(NO)) < end.why.index(str(MAYBE))


@pytest.mark.parametrize(("said", "name"), [("", "refused"), ("True", "refused"), ("False", "done")])
def test_what_a_mover_requires_must_stand_in_git_too(said: str, name: str) -> None:
    world = a_world()
    world.beside = {"spec.upgradePolicy.autoUpgrade": said}
    driver = replace(DRIVER, require={"NVIDIADriver": {"spec.upgradePolicy.autoUpgrade": "false"}})
    plan = replace(a_plan(), movers={"nvidia-driver": driver})
    end = Engine(ports(world), plan, a_cluster(), a_hardware(), "run-1").run().end
    assert end is not None
    assert end.name == name
    if name == "refused":
        told = f"autoUpgrade is {said or 'not set'}, it must be false (set it in Git first)"
        assert f"NVIDIADriver ring-0 in Git: spec.upgradePolicy.{told}" in end.why
        untouched(world)


class SettlesAtTheThirdLook(FakeReadiness):
    """An operator that is slower than we are."""

    looks = 0

    def declared(self, changes: Sequence[FieldChange]) -> Sequence[Finding]:
        self.looks += 1
        return [refused("ClusterPolicy x", "not ready", passes=True)] if self.looks < 3 else []


def test_what_a_controller_settles_by_itself_is_looked_at_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.engine.fakes.FakeReadiness", SettlesAtTheThirdLook)
    assert ended(a_world()).name == "done"


def test_what_does_not_settle_counts() -> None:
    world = a_world()
    world.found["ready"] = [refused("Application gpu", "OutOfSync", passes=True)]
    assert ended(world).name == "refused"
    assert 20 <= world.clock < 60


def test_an_image_of_the_present_release_that_is_gone_refuses_the_run() -> None:
    world = a_world()
    world.images = Images(missing={"mirror/driver:580": "404"})
    end = ended(world)
    assert end.name == "refused"
    assert "mirror/driver:580" in end.why
    untouched(world)


class Heard(Observer):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def record(self, record: Record) -> None:
        """Not of interest."""

    def progress(self, progress: Progress) -> None:
        self.texts.append(f"{progress.subject}: {progress.text}")


def test_images_that_nobody_asked_for_are_told_and_not_passed_in_silence() -> None:
    world, heard = a_world(), Heard()
    world.images = Images(unproven={"a": "no registry was asked", "b": "no registry was asked"})
    engine = an_engine(world)
    engine.ports = ports(world, (heard,))
    assert engine.run().end == End("done", ExitCode.DONE)
    told = "what can be pulled: 2 images of the present release: no registry was asked"
    assert f"not proven: {told}" in heard.texts
    (record,) = [r for r in world.records if r.step == "preflight" and r.status]
    assert record.detail["not_proven"] == [told]


class Asked(FakeRegistry):
    asked: tuple[object, ...] = ()

    def look(
        self, nodes: Sequence[str], running: Sequence[str], versions: Mapping[str, str]
    ) -> Mapping[str, Looked]:
        type(self).asked = (nodes, running, versions["nvidia-driver"])
        return {}


def test_the_images_asked_for_are_those_that_run_on_gpu_nodes_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.unit.engine.fakes.FakeRegistry", Asked)
    ended(a_world())
    driver = a_plan().to_versions["nvidia-driver"]
    assert Asked.asked == (a_cluster().gpu, ["mirror/driver:580.173.02@sha256:1"], driver)


def test_images_of_the_target_are_asked_for_before_the_first_change() -> None:
    """Missing is no; what can't be told is no yes, where the cluster file says that there is somebody to ask."""
    for images, asked, code, words in (
        (Images({"b": "404"}), True, ExitCode.REFUSED, "the release brings it and it can't be pulled: 404"),
        (
            Images(unproven={"b": "silent"}),
            True,
            ExitCode.INCONCLUSIVE,
            "1 images of the target release: silent",
        ),
        (Images(), True, ExitCode.INCONCLUSIVE, "no image of the target release could be named"),
        (Images(unproven={"b": "silent"}), False, ExitCode.DONE, ""),
    ):
        world = a_world()
        named = ("b",) if images != Images() else ()
        world.coming = {TARGET: Looked(named, images)}
        engine = an_engine(world)
        engine.cluster = replace(a_cluster(), registry=Pulling() if asked else None)
        end = engine.run().end
        assert end is not None
        assert (end.exit_code, words in end.why) == (code, True), end
        if code is not ExitCode.DONE:
            untouched(world)


def test_components_whose_images_were_not_asked_for_are_named_and_stop_no_run() -> None:
    world = a_world()
    world.coming = {TARGET: Looked(("b",), Images(), unasked=("gpu-operator", "kueue"))}
    engine = an_engine(world)
    engine.cluster = replace(a_cluster(), registry=Pulling())
    assert engine.run().end == End("done", ExitCode.DONE)
    (record,) = [r for r in world.records if r.step == "preflight" and r.status]
    told = "what can be pulled: the images that gpu-operator, kueue bring were not asked for"
    assert record.detail["not_proven"] == [told]


def test_windows_that_cannot_be_read_in_mid_run_interrupt_it_and_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_world()
    answers = iter(([], [], [MAYBE]))
    monkeypatch.setattr("tests.unit.engine.fake_cluster.FakeDelivery.windows", lambda *_: next(answers, []))
    with pytest.raises(Interrupted):
        an_engine(world).run()
    assert len(world.commits) == 2
    assert ended(world).name == "done"


def test_a_sync_window_that_would_hold_back_a_later_ring_holds_the_run_before_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_world()
    asked: list[float] = []

    def windows(self: object, seconds: float) -> list[Finding]:
        asked.append(seconds)
        return [refused("AppProject default", "a deny window opens")] if len(asked) > 2 else []

    monkeypatch.setattr("tests.unit.engine.fake_cluster.FakeDelivery.windows", windows)
    end = ended(world)
    assert end.name == "held"
    assert "a deny window opens" in end.why
    assert len(world.commits) == 2
    assert asked[2] >= 10  # the soak at least
