"""A machine's Talos is asked once, booted once, and believed by what it runs then; what can't be read is no arrival."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.taloses import DECLARED_PATH, DRIVER, IMAGES, NEW, OLD, Asked, Desk, running
from tests.unit.adapters.machines import FENCE, NODE, NODE_PATH, RUN

from knowngood.adapters.cluster import actors
from knowngood.adapters.kubernetes import pod_exec
from knowngood.adapters.movers import looking
from knowngood.adapters.nodes import claiming
from knowngood.adapters.nodes.batch import ClaimLost, NodeFailed, NotTold
from knowngood.model.errors import Unreachable


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.setattr(looking, "LONGEST_PAUSE", 0.02)
    return running(monkeypatch)


def test_it_comes_by_one_image_and_one_boot_is_proven_and_goes_back_the_same_way(desk: Desk) -> None:
    came = desk.comes(NEW)
    mark = came.marks["talos"]
    assert (came.restarted, mark.version, mark.boot_id, mark.at) == (True, NEW, desk.boot_id, 12.5)
    assert (desk.asked, desk.boots, desk.note) == ([IMAGES[NEW]], 2, "")
    again = desk.comes(NEW)
    assert (again.restarted, again.marks["talos"], len(desk.asked)) == (False, mark, 1), (
        "found, not asked again"
    )
    back = desk.comes(OLD)
    assert (back.restarted, back.marks["talos"].version) == (True, OLD)
    assert (desk.asked, desk.boots, desk.note) == ([IMAGES[NEW], IMAGES[OLD]], 3, "")
    assert all(one.stopped for one in desk.talosctl)


def test_what_is_begun_is_written_before_it_is_asked(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    notes: list[str] = []
    before, ask = desk.boot_id, desk.upgrade

    def upgrade(address: str, image: str) -> Asked:
        notes.append(desk.note)
        return ask(address, image)

    monkeypatch.setattr("knowngood.adapters.cluster.talos.Upgrade", upgrade)
    desk.comes(NEW)
    (note,) = notes
    told = json.loads(note)
    assert (told["component"], told["version"], told["reset"]) == ("talos", NEW, before)


def test_a_talosctl_that_hangs_while_the_upgrade_goes_on_is_not_waited_for(desk: Desk) -> None:
    """siderolabs/talos issue 11830; its own end proves nothing either."""
    assert desk.comes(NEW).restarted
    assert [one.ended for one in desk.talosctl] == [None]


def test_a_node_that_goes_back_by_itself_has_not_taken_it(desk: Desk) -> None:
    """siderolabs/extensions issue 888, talos issue 10364: the boot fails, and the half before is booted."""
    desk.script = [desk.down, lambda: desk.boot(OLD)]
    with pytest.raises(NodeFailed, match=rf"took {NEW}, and it runs {OLD}: it went back by itself") as error:
        desk.comes(NEW)
    assert not isinstance(error.value, NotTold), "that was measured"
    assert desk.note, "it may come with any boot"
    with pytest.raises(NotTold, match="was asked to take talos"):
        claiming.release(desk.task(), NODE)
    back = desk.comes(OLD)
    assert (back.restarted, desk.asked[1:], desk.note) == (True, [IMAGES[OLD]], ""), "it is written over"


def test_a_node_that_never_comes_back_fails(desk: Desk) -> None:
    """siderolabs/talos issue 14146."""
    desk.script = [desk.down]
    with pytest.raises(NodeFailed, match="the node is not Ready") as error:
        desk.comes(NEW)
    assert not isinstance(error.value, NotTold)


def test_a_boot_without_the_driver_is_no_arrival(desk: Desk) -> None:
    """siderolabs/talos issue 7043: an image without the extension; the version alone is as wanted."""
    desk.driver = False
    with pytest.raises(NodeFailed, match="no driver was loaded on this boot") as error:
        desk.comes(NEW)
    assert not isinstance(error.value, NotTold)
    desk.driver = True
    assert desk.comes(OLD).marks["talos"].version == OLD


def test_a_machine_that_takes_it_and_does_not_boot_fails(desk: Desk) -> None:
    desk.script = [lambda: setattr(desk.talosctl[-1], "ended", 0)]
    with pytest.raises(NodeFailed, match=f"has taken talos {NEW}, and it has not booted"):
        desk.comes(NEW)


@pytest.mark.parametrize(
    "words",
    [
        "error during upgrade: node 10.0.0.7: upgrade failed with exit code 1",
        "pre-flight checks failed: version 1.8.0 is not supported",
    ],
)
def test_an_installer_that_says_no_is_measured(desk: Desk, words: str) -> None:
    desk.script = [lambda: setattr(desk.talosctl[-1], "words", words), lambda: _ends(desk, 1)]
    with pytest.raises(NodeFailed, match="its Talos refuses talos") as error:
        desk.comes(NEW)
    assert not isinstance(error.value, NotTold)


@pytest.mark.parametrize(
    "words",
    [
        "rpc error: code = PermissionDenied desc = not authorized",
        "error pulling upgrade image: rpc error: code = NotFound",
        "rpc error: code = Unavailable desc = connection refused",
        "it said nothing",
    ],
)
def test_what_talosctl_could_not_says_nothing_of_the_version(desk: Desk, words: str) -> None:
    desk.script = [lambda: setattr(desk.talosctl[-1], "words", words), lambda: _ends(desk, 1)]
    with pytest.raises(NotTold, match="can't be told: talosctl ended with 1"):
        desk.comes(NEW)
    assert desk.note, "it may have been taken"


def _ends(desk: Desk, code: int) -> None:
    desk.talosctl[-1].ended = code


def test_a_connection_that_is_lost_while_the_upgrade_goes_on_is_an_arrival_by_its_proof(desk: Desk) -> None:
    desk.script = [lambda: _ends(desk, 1), desk.down, lambda: desk.boot(NEW)]
    assert desk.comes(NEW).marks["talos"].version == NEW


def test_a_machine_that_does_not_answer_is_asked_for_nothing(desk: Desk) -> None:
    desk.silent = "talosctl ended with 1: connection refused"
    with pytest.raises(NotTold, match="its Talos can't be read: talosctl ended"):
        desk.comes(NEW)
    assert (desk.asked, desk.note) == ([], "")


def test_a_machine_that_tells_another_version_than_its_node_is_asked_for_nothing(desk: Desk) -> None:
    desk.tells = "1.12.1"
    with pytest.raises(NotTold, match=rf"its Talos tells 1.12.1 \(boot .*\), and its node {OLD}"):
        desk.comes(NEW)
    assert (desk.asked, desk.note) == ([], "")


def test_a_machine_on_another_boot_is_not_the_nodes_and_is_asked_for_nothing(desk: Desk) -> None:
    """Somebody else answers at that address, with the same version."""
    desk.boot_of = "99999999-0000-0000-0000-000000000000"
    with pytest.raises(NotTold, match=rf"its Talos tells {OLD} \(boot 99999999\)"):
        desk.comes(NEW)
    assert (desk.asked, desk.note) == ([], "")


def test_an_answer_that_can_not_be_read_after_the_boot_is_no_arrival(desk: Desk) -> None:
    def silent() -> None:
        desk.boot(NEW)
        desk.silent = "talosctl tells of 0 machines and 0 versions, not of one"

    desk.script = [desk.down, silent]
    with pytest.raises(NotTold, match="its Talos can't be read"):
        desk.comes(NEW)
    assert desk.note, "whoever resumes follows it"
    desk.silent = ""
    came = desk.comes(NEW)
    assert (came.restarted, len(desk.asked), desk.note) == (True, 1, ""), "and asks nothing anew"


def test_a_kernel_log_that_can_not_be_read_is_no_arrival(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_where: Any, **_more: Any) -> Any:
        raise Unreachable("exec took too long")

    monkeypatch.setattr(pod_exec, "run", silent)
    with pytest.raises(NotTold, match="its driver or kernel log can't be read"):
        desk.comes(NEW)


def test_a_drivers_pod_of_another_boot_is_no_proof(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    old = desk.exec()
    monkeypatch.setattr(pod_exec, "run", lambda *_where, **_more: old)
    with pytest.raises(NotTold, match="its driver's pod tells boot"):
        desk.comes(NEW)


def test_without_a_drivers_pod_the_driver_did_not_come(desk: Desk) -> None:
    def bare() -> None:
        desk.boot(NEW)
        for where in [w for w in desk.kube.objects if "/pods/driver" in w]:
            del desk.kube.objects[where]

    desk.script = [desk.down, bare]
    with pytest.raises(
        NodeFailed, match="its driver did not come with the boot: no driver pod runs on it"
    ) as error:
        desk.comes(NEW)
    assert not isinstance(error.value, NotTold)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"talos": OLD, "image": IMAGES[OLD]}, f"ConfigMap talos-ring-0 declares {OLD}, not {NEW}"),
        ({"talos": NEW}, f"names no image by its digest for {NEW}"),
        ({"talos": NEW, "image": f"registry.example.com/talos:v{NEW}"}, "names no image by its digest"),
        ({"talos": NEW, "image": f"--insecure@sha256:{0:064x}"}, "names no image by its digest"),
        ({}, f"declares nothing, not {NEW}"),
    ],
    ids=["another version", "no image", "by tag", "a flag", "nothing"],
)
def test_the_image_is_what_git_declares_by_its_digest(desk: Desk, data: dict[str, str], words: str) -> None:
    desk.kube.put(DECLARED_PATH, {"data": data})
    with pytest.raises(NotTold, match=words):
        desk.bring(NEW)
    assert (desk.asked, desk.note) == ([], "")


def test_by_hand_too_an_object_must_declare_it(desk: Desk) -> None:
    with pytest.raises(NotTold, match="which object declares its image is not said"):
        desk.bring(NEW, declared_by=None)
    del desk.kube.objects[DECLARED_PATH]
    with pytest.raises(NotTold, match="declares nothing"):
        desk.bring(NEW)
    assert desk.asked == []


def test_a_node_that_tells_no_talos_is_left_alone(desk: Desk) -> None:
    """A virtual node's kubelet, or another system's: talos issue 11974 met one without a Talos API."""
    for system in ("Ubuntu 24.04.3 LTS", ""):
        desk.kube.objects[NODE_PATH]["status"]["nodeInfo"]["osImage"] = system
        with pytest.raises(NotTold, match="its node tells no Talos"):
            desk.bring(NEW)
    desk.show()
    desk.kube.objects[NODE_PATH]["status"]["addresses"] = []
    with pytest.raises(NotTold, match="no Talos that can be read, no boot, or no address"):
        desk.bring(NEW)
    assert (desk.asked, desk.note) == ([], "")


def test_a_node_that_was_taken_over_is_asked_for_nothing(desk: Desk) -> None:
    obj = desk.kube.objects[NODE_PATH]

    def taken(method: str, where: str) -> None:
        if method == "GET" and where == DECLARED_PATH:
            obj["metadata"]["annotations"]["knowngood.dev/claim"] = f"{RUN}/9"
            desk.kube.put(NODE_PATH, obj)

    desk.kube.before.append(taken)
    with pytest.raises(ClaimLost):
        desk.comes(NEW)
    assert desk.asked == []


def test_our_hold_is_put_back_where_talos_lifts_it(desk: Desk) -> None:
    def lifted() -> None:
        desk.boot(NEW)
        obj = desk.kube.objects[NODE_PATH]
        obj["spec"]["unschedulable"] = False
        desk.kube.put(NODE_PATH, obj)

    desk.script = [desk.down, lifted]
    assert desk.comes(NEW).held == 1
    assert desk.kube.objects[NODE_PATH]["spec"]["unschedulable"]


@pytest.mark.parametrize(
    ("note", "words"),
    [
        ("{", "can't be read: see what its machine was asked"),
        (
            json.dumps({"component": "bios", "version": "2.8.2", "known": []}),
            "take bios 2.8.2, which has not ended",
        ),
    ],
    ids=["unreadable", "a BMC's"],
)
def test_what_another_begun_is_not_taken_for_ours(desk: Desk, note: str, words: str) -> None:
    desk.kube.objects[NODE_PATH]["metadata"]["annotations"]["knowngood.dev/flash"] = note
    with pytest.raises(NotTold, match=words):
        desk.comes(NEW)
    assert desk.asked == []


def test_the_drivers_load_dates_it_in_the_snapshot_too(desk: Desk) -> None:
    """What a node is by its own object, on the load of the driver that came with the boot."""
    desk.comes(NEW)
    assert desk.kube.journals[NODE].count(DRIVER) == 1
    assert actors.annotation(desk.kube.objects[NODE_PATH], "knowngood.dev/claim") == FENCE


class Killed(BaseException):
    """SIGKILL: nothing catches it."""


@pytest.mark.parametrize("back", [False, True], ids=["goes on", "goes back"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", range(3))
def test_killed_at_any_moment_the_next_runner_ends_it_and_leaves_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, at: int, *, after: bool, back: bool
) -> None:
    """At the note's writing, the question, and the note's end."""
    count, ask = [0], desk.upgrade

    def moment() -> None:
        count[0] += 1
        if count[0] - 1 == at:
            raise Killed

    def upgrade(address: str, image: str) -> Asked:
        if not after:
            moment()
        made = ask(address, image)
        if after:
            moment()
        return made

    once = desk.kube._once

    def written(method: str, *more: Any) -> bytes:
        if method == "GET":
            return once(method, *more)
        if not after:
            moment()
        answer = once(method, *more)
        if after:
            moment()
        return answer

    with monkeypatch.context() as own:
        own.setattr("knowngood.adapters.cluster.talos.Upgrade", upgrade)
        own.setattr(desk.kube, "_once", written)
        with pytest.raises(Killed):
            desk.comes(NEW)
    went = desk.runs if at == 2 else OLD
    assert went in {OLD, NEW}
    wanted = OLD if back else NEW
    came = desk.comes(wanted)
    assert (came.marks["talos"].version, desk.runs, desk.note) == (wanted, wanted, "")
    assert desk.boots <= (4 if back else 3)
    begun_and_back = back and bool(desk.asked[:-1])
    assert not begun_and_back or desk.asked[-1] == IMAGES[OLD], "what was taken is written over"


def test_an_upgrade_that_was_begun_is_asked_again_only_while_it_has_not_booted(desk: Desk) -> None:
    desk.limits = replace(desk.limits, apply=0.5)
    desk.script = [lambda: None]
    with pytest.raises(NodeFailed, match=f"its Talos takes talos {NEW}"):
        desk.comes(NEW)
    assert (len(desk.asked), bool(desk.note)) == (1, True)
    desk.boot(NEW)
    assert desk.comes(NEW).restarted
    assert len(desk.asked) == 1
