"""check and support on the shipped matrix: the incidents that they are there for."""

from __future__ import annotations

import json

import pytest
from tests.unit.cli.called import knowngood


def test_gpu_operator_26_3_2_with_network_operator_26_4_0_is_blocked_with_its_source() -> None:
    said = knowngood("check", "gpu-operator=26.3.2", "network-operator=26.4.0", "--profile", "hgx-h200")
    assert said.code == 1
    assert said.out.startswith("no: ")
    assert "has no RDMA" in said.out
    assert "cloud-native-stack" in said.out
    assert "nearest combination that passes" in said.out


def test_the_json_names_every_rule_and_the_way_out() -> None:
    said = knowngood("check", "gpu-operator=26.3.2", "network-operator=26.4.0", "-o", "json")
    told = json.loads(said.out)
    assert (said.code, told["answer"]) == (1, "no")
    assert told["rules"][0]["outcome"] == "broken"
    assert told["rules"][0]["sources"]
    assert [c["component"] for c in told["nearest"]] == ["gpu-operator"]


def test_openshift_4_22_with_network_operator_26_4_0_is_refused() -> None:
    said = knowngood("check", "openshift=4.22.9", "network-operator=26.4.0", "--cluster", "ams-prod")
    assert said.code == 1
    assert "26.4.1" in said.out


def test_4_18_22_with_the_gpu_operator_is_refused_and_4_18_24_is_near() -> None:
    said = knowngood("check", "openshift=4.18.22", "gpu-operator=25.10.1", "-o", "json")
    assert said.code == 1
    assert any("crun" in r["message"] and r["outcome"] == "broken" for r in json.loads(said.out)["rules"])


def test_support_answers_what_no_vendor_does() -> None:
    said = knowngood("support", "gpu-operator=26.7", "network-operator=26.4.0")
    assert "openshift: 4.18 to 4.21\n" in said.out
    told = json.loads(knowngood("support", "gpu-operator=26.7", "network-operator=26.4.0", "-o", "json").out)
    assert told["components"]["openshift"]["allowed"] == ["4.18", "4.19", "4.20", "4.21"]
    assert told["given"] == {"gpu-operator": told["given"]["gpu-operator"], "network-operator": ["26.4.0"]}


def test_support_for_one_component_answers_for_it_alone() -> None:
    said = knowngood("support", "gpu-operator=26.7", "--for", "nvidia-driver", "-o", "json")
    assert list(json.loads(said.out)["components"]) == ["nvidia-driver"]


def test_support_of_what_excludes_itself_is_exit_1_and_says_by_what() -> None:
    said = knowngood("support", "gpu-operator=26.3.2", "network-operator=26.4.0")
    assert said.code == 1
    assert "can't run together" in said.out
    assert "has no RDMA" in said.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check"], "Missing argument"),
        (["check", "gpu-operator"], "no COMPONENT=VERSION"),
        (["check", "gpu-operator="], "no COMPONENT=VERSION"),
        (["check", "gpu-oprator=26.7.0"], "gpu-operator"),
        (["check", "gpu-operator=26.7"], "support"),
        (["check", "gpu-operator=seven"], "no numeric version"),
        (["check", "gpu-operator=26.7.0", "gpu-operator=26.3.2"], "given twice"),
        (["check", "gpu-operator=26.7.0", "--profile", "nix"], "no profile"),
        (["check", "gpu-operator=26.7.0", "--cluster", "nix"], "no cluster"),
        (["check", "gpu-operator=26.7.0", "--cluster", "ams-prod", "--profile", "hgx-h200"], "name one"),
        (["support", "gpu-operator=99"], "no known version"),
        (["check", "openshift=4.20"], "known are 4.20."),
        (["check", "openshift=4.18"], "known are 4.18."),
        (["support", "gpu-operator=>>1"], "gpu-operator"),
        (["support", "gpu-operator=26.7", "--for", "gpu-operator"], "given already"),
        (["support", "gpu-operator=26.7", "--for", "nix"], "no component"),
    ],
)
def test_what_can_not_be_asked_is_exit_2_and_says_why(arguments: list[str], said: str) -> None:
    found = knowngood(*arguments)
    assert found.code == 2
    assert said in found.err
    assert found.out == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["check", "openshift=4.23.1", "gpu-operator=26.7.0"], 1),  # a rule forbids it
        (["support", "openshift=4.23.1", "gpu-operator=26.7.0"], 1),
        (["check", "gpu-operator=99.1.0"], 3),  # none does, and none knows of it
        (["support", "gpu-operator=99.1.0", "--for", "quay"], 3),
    ],
)
def test_of_a_version_in_no_known_line_a_rule_may_say_no_and_nothing_says_yes(
    arguments: list[str], code: int
) -> None:
    said = knowngood(*arguments)
    assert said.code == code, said.out
    assert "is in no line that the matrix knows" in said.err
    assert not said.out.startswith("yes")
    told = json.loads(knowngood(*arguments, "--output", "json").out)
    assert told["beyondKnown"] == [arguments[1].partition("=")[0]]


@pytest.mark.parametrize("command", ["check", "support", "exposure", "promote", "revoke", "supersede"])
def test_help_alone_is_enough(command: str) -> None:
    said = knowngood(command, "--help")
    assert said.code == 0
    assert "Examples:" in said.out
    assert "Exit codes:" in said.out


def test_where_a_rule_comes_from_has_a_line_of_its_own() -> None:
    said = knowngood("check", "gpu-operator=26.7.0", "nvidia-driver=595.91.07", "openshift=4.18.52")
    rows = said.out.splitlines()[1:]
    assert len(rows) > 1
    assert all(row.startswith("    rule ") and "source" in row for row in rows[1::2])
    assert not [row for row in rows[::2] if "source:" in row]


@pytest.mark.parametrize("build", ["+rt", "+64k"])
def test_a_rule_of_the_standard_kernel_is_unknown_of_another_build(build: str) -> None:
    said = knowngood("check", "openshift=4.18.24", f"rhcos-kernel=5.14.0-427.el9_4{build}")
    assert said.code == 3
    assert said.out.startswith("can't tell: a blocking rule speaks of another build than one of these\n")
    assert "this is said of the standard build, and not known of this one" in said.out


@pytest.mark.parametrize(
    ("build", "outcome"), [("", "ok"), ("+rke2r1", "unknown"), ("-eks-7f9249a", "unknown")]
)
def test_a_distribution_of_kubernetes_is_not_upstreams(build: str, outcome: str) -> None:
    said = knowngood("check", f"kubernetes=v1.34.3{build}", "network-operator=25.10.0", "-o", "json")
    asked = [r for r in json.loads(said.out)["rules"] if r["rule"] == "network-operator-kubernetes"]
    assert [r["outcome"] for r in asked] == [outcome]


def test_what_is_asked_of_upstreams_linux_is_so_of_each_build() -> None:
    said = knowngood("check", "rdma-mode=dma-buf", "rhcos-kernel=5.14.0-427.el9_4+rt", "-o", "json")
    asked = [r for r in json.loads(said.out)["rules"] if r["rule"] == "dma-buf-needs-kernel-5-12"]
    assert [r["outcome"] for r in asked] == ["ok"]


def test_a_version_that_breaks_a_rule_by_its_numbers_breaks_it_in_each_build() -> None:
    assert knowngood("check", "openshift=4.18.24", "rhcos-kernel=5.14.0-570.el9_6+rt").code == 1
