"""Images are named as nodes pull them, and the gate says which are gone and which nobody could tell."""

from __future__ import annotations

from typing import Any

import pytest

from knowngood.adapters.judging import image_list
from knowngood.adapters.judging.image_list import Machine
from knowngood.ports.registry import Images, Looked

from .conftest import gate, verdict

GATE = gate("registry")
NODE = Machine("n", "rhcos", "4.18", "5.14.0-427.el9_4.x86_64", "amd64", "418.94")
RHEL = Machine("n", "rhel", "9.6", "5.14.0-570.el9_6.x86_64", "arm64")


def judged(part: str, looked: Looked) -> tuple[str, str]:
    return verdict(GATE.test_every_image_can_be_pulled, part=part, images={part: looked})[:2]


@pytest.mark.parametrize(
    ("part", "looked", "expected", "words"),
    [
        ("present", Looked(("a", "b"), Images()), "pass", "2 images of the present"),
        ("target", Looked((), Images()), "inconclusive", "no image of the target"),
        ("present", Looked((), Images()), "inconclusive", "no image of the present"),
        ("present", Looked(("a",), Images({"a": "404"})), "fail", "a: 404"),
        ("target", Looked(("a", "b"), Images({"a": "404"}, {"b": "silent"})), "fail", "a: 404"),
        ("target", Looked(("a",), Images(unproven={"a": "silent"})), "inconclusive", "a: silent"),
        ("target", Looked((), Images(), ("it names no repository",)), "inconclusive", "no repository"),
        ("present", Looked(("x",) * 7, Images({str(n): "404" for n in range(7)})), "fail", "and 3 more"),
    ],
)
def test_each_answer_has_its_verdict(part: str, looked: Looked, expected: str, words: str) -> None:
    verdict_, reason = judged(part, looked)
    assert (verdict_, words in reason) == (expected, True), reason


def test_a_pass_names_the_components_whose_images_were_not_asked_for() -> None:
    verdict_, reason = judged("target", Looked(("a",), Images(), unasked=("gpu-operator", "kueue")))
    assert verdict_ == "pass"
    assert "not asked for: those that gpu-operator, kueue bring" in reason


@pytest.mark.parametrize(
    ("machine", "operator", "tag"),
    [
        (NODE, (25, 10, 1), "rhcos4.18"),
        (NODE, (26, 7, 0), "rhcos4.18"),
        (RHEL, (26, 3, 3), "rhel9.6"),
        (RHEL, (26, 7, 0), "rhel9"),
        (RHEL, (), "rhel9.6"),
    ],
)
def test_the_os_tag_is_the_operators(machine: Machine, operator: tuple[int, ...], tag: str) -> None:
    """gpu-operator pull 2497: `rhel` loses its minor with 26.7.0, rhcos keeps it."""
    assert machine.os_tag(operator) == tag


@pytest.mark.parametrize(
    ("version", "machine", "section", "tag"),
    [
        ("580.105.08", NODE, {}, "580.105.08-rhcos4.18"),
        ("580.105.08", NODE, {"usePrecompiled": True}, "580-5.14.0-427.el9_4.x86_64-rhcos4.18"),
        ("580.105.08", RHEL, {}, "580.105.08-rhel9"),
    ],
)
def test_the_drivers_tag_follows_version_kernel_and_system(
    version: str, machine: Machine, section: dict[str, Any], tag: str
) -> None:
    assert image_list._driver_tag(version, machine, section, (26, 7, 0)) == tag


def test_the_nic_drivers_tag_has_the_architecture() -> None:
    tag = image_list._doca_tag("doca3.1.0-25.07-0.9.7.0-0", RHEL, {}, ())
    assert tag == "doca3.1.0-25.07-0.9.7.0-0-rhel9.6-arm64"
