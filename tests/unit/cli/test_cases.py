"""Version questions as people asked them, each answered as its case wants: a rule, a product, a form of writing."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.cases import CASES, needs_cases
from tests.unit.cli.called import Said, knowngood

from knowngood.matrix.locate import matrix_dir

pytestmark = needs_cases


def asked(case: str, number: int = 0, *more: object) -> Said:
    """What a line of a case's file asks."""
    line = (CASES / case).read_text().splitlines()[number]
    return knowngood(*line.partition(" --profile")[0].split(), *more)


def rule_lines(said: Said) -> dict[str, str]:
    """Rule -> what it says: a line of its own stands below the answer."""
    lines = said.out.splitlines()
    named = ((i, line.split()[1].rstrip(",")) for i, line in enumerate(lines) if line.startswith("    rule "))
    return {name: lines[i - 1] for i, name in named}


def test_c21_a_runtime_that_breaks_gpu_pods_blocks() -> None:
    said = asked("v3-crun.txt")
    assert said.code == 1
    assert rule_lines(said)["openshift-crun-breaks-gpu-pods"].split()[:2] == ["block", "broken"]


@pytest.mark.parametrize("card", ["p100", "v100"])
@pytest.mark.parametrize("driver", ["595.71.05", "610.57.04"])
def test_c22_a_driver_that_ignores_the_card_blocks(card: str, driver: str, tmp_path: Path) -> None:
    matrix = shutil.copytree(matrix_dir(), tmp_path / "matrix")
    shutil.copy(CASES / f"v4-profile-{card}.yaml", matrix / "profiles" / f"{card}.yaml")
    line = (CASES / "v4-pascal-595.txt").read_text().partition(" --profile")[0].replace("595.71.05", driver)
    said = knowngood("--matrix", matrix, *line.split(), "--profile", card)
    assert said.code == 1
    found = rule_lines(said)["gpus-before-turing-end-with-driver-580"]
    assert found.split()[:2] == ["block", "broken"]


def test_c23_a_driver_that_was_seen_not_to_build_is_warned_of() -> None:
    found = rule_lines(asked("v5-575-on-el9_8.txt"))["driver-575-fails-to-build-for-rhel-9-8"]
    assert found.split()[:2] == ["warn", "broken"]


def test_c24_another_product_in_the_same_scheme_is_unknown() -> None:
    said = asked("v6-okd.txt")
    assert (said.code, said.out) == (2, "")
    assert "a version of OKD, another product than OpenShift" in said.err
    way = asked("v6-okd.txt", 1)
    assert (way.code, way.out) == (2, "")
    assert "no version '4.21.0-okd-scos.11' of openshift is known" in way.err


def test_c25_versions_are_taken_as_clusters_print_them() -> None:
    for line in filter(None, (CASES / "v7-as-clusters-show-them.txt").read_text().splitlines()):
        assert knowngood("check", line).code in (0, 1, 3), line


def test_c26_a_respin_can_be_named() -> None:
    said = knowngood("check", (CASES / "v8-gitops-respin.txt").read_text().strip())
    assert said.code in (0, 3), said.err


def test_c29_what_a_later_bundle_skips_is_no_target() -> None:
    assert (
        "OLM never updates to 1.10.0"
        in knowngood("path", "csm-operator", "--from", "1.9.1", "--to", "1.10.0").err
    )
    assert knowngood("path", "csm-operator", "--from", "1.9.1", "--to", "1.10.2").code == 0
