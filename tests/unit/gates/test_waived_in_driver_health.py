"""driver_health: a GPU that is known to be bad may be out, or lost, and no other one for it."""

from __future__ import annotations

import pytest

from knowngood.adapters.cluster.nvidia_smi import parse
from knowngood.model.parts import Waiver

from .smi import SXM, printed
from .test_driver_health import KERNEL, judged


def waiver(part: str) -> Waiver:
    return Waiver("gpu-1", "driver_health", part, "replacement ordered", "2099-12-31")


def without(text: str, gpus: int) -> str:
    """The document without its last GPUs."""
    head, *elements = text.split("\t<gpu ")
    kept, (_, tail) = elements[:-gpus], elements[-1].split("</gpu>\n")
    left = "\t<gpu ".join([head, *kept]) + tail
    return left.replace(f"<attached_gpus>{len(elements)}", f"<attached_gpus>{len(kept)}")


@pytest.mark.parametrize("by", ["address", "uuid"])
def test_a_gpu_that_is_known_to_be_out_is_waived_and_no_second_one(by: str) -> None:
    """The profile still says eight, and the baseline of before has it."""
    eight, (_, _, before) = parse(printed()).gpus, judged(printed())
    known = [waiver(getattr(eight[7], by))]
    assert judged(without(printed(), 1), baseline=before)[0] == "fail"
    assert judged(without(printed(), 1), baseline=before, waivers=known)[:2] == ("pass", "")
    found, reason, _ = judged(without(printed(), 2), baseline=before, waivers=known)
    assert (found, "6 GPUs, the profile 8, of which 1 may be missing" in reason) == ("fail", True)
    assert f"{eight[6].uuid} is gone" in reason
    assert eight[7].uuid not in reason


def test_a_gpu_that_is_waived_by_both_names_is_one() -> None:
    eight, (_, _, before) = parse(printed()).gpus, judged(printed())
    known = [waiver(eight[7].address), waiver(eight[7].uuid)]
    for baseline, two in ((before, "fail"), (None, "inconclusive")):
        assert judged(without(printed(), 1), baseline=baseline, waivers=known)[0] == "pass"
        assert judged(without(printed(), 2), baseline=baseline, waivers=known)[0] == two
        assert judged(without(printed(), 3), baseline=baseline, waivers=known)[0] == "fail"


def test_a_waiver_of_a_place_that_nobody_knows_excuses_no_gpu() -> None:
    """Mistyped, it would stand for any that is lost. One that only the kernel's files show is there, too."""
    eight, unread = parse(printed()).gpus, {**KERNEL, "gpus": dict[str, str]()}
    for lost in (0, 1):
        text = without(printed(), lost) if lost else printed()
        found, reason, _ = judged(text, waivers=[waiver("0000:77:00.0")])
        assert (found, "waives 0000:77:00.0, a place that" in reason) == ("inconclusive", True)
    known = [waiver(eight[7].address)]
    assert judged(without(printed(), 1), waivers=known)[0] == "pass"
    assert judged(without(printed(), 1), waivers=known, inventory=unread)[0] == "inconclusive"


def test_what_can_not_be_told_of_a_waived_gpu_hides_nothing_that_is_wrong_with_another() -> None:
    lost = without(printed(ailment="row-remap-fails"), 1)
    assert judged(lost, waivers=[waiver("GPU-another")])[0] == "fail"


def test_a_baseline_from_before_addresses_were_kept_can_not_tell_whose_place_was_waived() -> None:
    eight, (_, _, before) = parse(printed()).gpus, judged(printed())
    old = {
        **before,
        "gpus": {u: {k: v for k, v in g.items() if k != "address"} for u, g in before["gpus"].items()},
    }
    by_uuid, by_address = [waiver(eight[7].uuid)], [waiver(eight[7].address)]
    assert judged(without(printed(), 1), baseline=old, waivers=by_uuid)[:2] == ("pass", "")
    found, reason, _ = judged(without(printed(), 1), baseline=old, waivers=by_address)
    assert (found, f"does not tell where {eight[7].uuid} was" in reason) == ("inconclusive", True)
    for waivers in (by_uuid, by_address, []):
        assert judged(without(printed(), 2), baseline=old, waivers=waivers)[0] == "fail"


@pytest.mark.parametrize("by", ["address", "uuid"])
def test_a_waived_gpu_may_be_replaced_and_stands_for_no_other(by: str) -> None:
    """The new one is at the old one's place."""
    eight, (_, _, before) = parse(printed()).gpus, judged(printed())
    known, inventory = [waiver(getattr(eight[7], by))], {**KERNEL, "gpus": {}}
    uuids = [f"GPU-00000000-0000-0000-0000-00000000000{n}" for n in (1, 2)]
    new = printed().replace(eight[7].uuid, uuids[0])
    links = printed(SXM, ("nvlink", "-s")).replace(eight[7].uuid, uuids[0])
    assert judged(new, links, baseline=before, waivers=known, inventory=inventory)[:2] == ("pass", "")
    other = [waiver(getattr(eight[6], by))]
    reason = judged(new, links, baseline=before, waivers=other, inventory=inventory)[1]
    assert reason == f"{eight[7].uuid} is gone", "a swap of another one"
    lost = new.replace(eight[6].uuid, uuids[1])
    reason = judged(lost, links, baseline=before, waivers=known, inventory=inventory)[1]
    assert f"{eight[6].uuid} is gone" in reason


def test_what_is_wrong_with_a_known_bad_gpu_is_waived_and_with_its_neighbour_not() -> None:
    gpus = parse(printed()).gpus
    for waived, expected in ((gpus[2], "pass"), (gpus[3], "fail")):
        known = [waiver(waived.address)]
        for fault in ("row-remap-fails", "nvlink-goes-down"):
            told, links = printed(ailment=fault), printed(SXM, ("nvlink", "-s"), fault)
            assert judged(told, links, waivers=known)[0] == expected


def test_without_a_baseline_a_waived_uuid_excuses_no_gpu_that_lacks() -> None:
    """It may have been replaced, and another be out."""
    found, reason, _ = judged(without(printed(), 1), waivers=[waiver("GPU-another")])
    assert (found, "nothing tells whether GPU-another is what lacks" in reason) == ("inconclusive", True)


@pytest.mark.parametrize(
    "words",
    [
        "Unable to determine the device handle for GPU5: {}: Unknown Error",
        "Unable to determine the device handle for GPU {}: GPU is lost.  Reboot the system to recover this GPU",
    ],
)
def test_a_gpu_that_the_tool_says_is_lost_behind_its_document_is(words: str) -> None:
    """It may describe as many as the profile has, and exit with 0."""
    said = f"{printed()}{words.format('00000000:9A:00.0')}\n"
    found, reason, _ = judged(said)
    assert (found, "nvidia-smi says 'Unable to determine" in reason) == ("fail", True)
    assert judged(said, waivers=[waiver("0000:9a:00.0")])[0] == "pass"
