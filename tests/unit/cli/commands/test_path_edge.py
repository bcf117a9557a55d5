"""path and edge: one component's way and one update, as JSON and as text, and what is said where there is none."""

from __future__ import annotations

import json

import pytest
from tests.unit.cli.called import knowngood


def test_a_path_as_json_has_the_documented_keys() -> None:
    said = knowngood(
        "path", "openshift", "--from", "4.16.20", "--to", "4.18.52", "--channel", "eus", "-o", "json"
    )
    assert said.code == 0
    assert json.loads(said.out) == {
        "schema": 1,
        "component": "openshift",
        "from": "4.16.20",
        "to": "4.18.52",
        "channel": "eus",
        "hops": [
            {"from": "4.16.20", "to": "4.17.56", "kind": "derived", "risks": []},
            {"from": "4.17.56", "to": "4.18.52", "kind": "derived", "risks": []},
        ],
        "worker_reboots": 1,
    }


def test_an_edge_as_json_has_the_documented_keys() -> None:
    said = knowngood("edge", "openshift", "4.18.21", "4.18.22", "-o", "json")
    assert said.code == 0
    assert json.loads(said.out) == {
        "schema": 1,
        "exists": True,
        "kind": "real",
        "always": [],
        "conditional": ["CrunConflictsWithNVIDIA", "HyperShiftProxyScheme", "NMStateServiceFailure"],
    }


def test_text_names_the_risks_on_the_way_with_what_they_mean() -> None:
    said = knowngood("path", "openshift", "--from", "4.18.21", "--to", "4.18.22")
    assert said.code == 0
    assert "1 hop, 1 reboot of each worker" in said.out
    assert "CrunConflictsWithNVIDIA" in said.out
    assert "gpu high" in said.out
    assert "https://" in said.out


def test_going_nowhere_is_a_path_without_hops() -> None:
    said = knowngood("path", "openshift", "--from", "4.18.21", "--to", "4.18.21")
    assert (said.code, said.out) == (0, "openshift 4.18.21: there already\n")


def test_an_accepted_risk_opens_the_shorter_way() -> None:
    way = ("path", "openshift", "--from", "4.20.14", "--to", "4.22.9", "--channel", "eus", "-o", "json")
    accepted = knowngood(*way, "--accept-risk", "EtcdStorageVersion3Migration")
    assert [len(json.loads(said.out)["hops"]) for said in (knowngood(*way), accepted)] == [3, 2]
    assert "EtcdStorageVersion3Migration" in json.loads(accepted.out)["hops"][0]["risks"]


@pytest.mark.parametrize(
    ("arguments", "reason", "hint"),
    [
        (
            ["openshift", "--from", "4.18.18", "--to", "4.18.26"],
            "meets a risk that holds for every cluster: ContinuousNodeRebootingDueToKernelPanic",
            "--accept-risk ContinuousNodeRebootingDueToKernelPanic",
        ),
        (
            ["openshift", "--from", "4.14.60", "--to", "4.14.71"],
            "channel stable has no way: stable-4.14 does not hold 4.14.71",
            "--channel fast has one, candidate, eus too",
        ),
        (
            ["openshift", "--from", "4.18.30", "--to", "4.19.42", "--channel", "eus"],
            "there is no eus-4.19",
            "stable",
        ),
        (["openshift", "--from", "4.18.30", "--to", "4.18.1"], "4.18.1 is older than 4.18.30", "undone"),
        (["openshift", "--from", "4.12.85", "--to", "4.12.86"], "no update to 4.12.86 is known", "published"),
        (
            ["gpu-operator", "--from", "23.9.0", "--to", "26.7.0"],
            "the vendor supports no such step",
            "24.3, 24.6, 24.9",
        ),
        (
            ["gpu-operator", "--from", "26.3.3", "--to", "26.7.0", "--openshift", "4.17"],
            "the catalog of OpenShift 4.17 offers no way",
            "4.18, 4.19",
        ),
        (
            ["network-operator", "--from", "24.4.1", "--to", "26.4.1", "--openshift", "4.18"],
            "nor does any other alone",
            "leave --openshift out",
        ),
        (  # the newest z-stream has no update to the next minors yet
            ["openshift", "--from", "4.18.52", "--to", "4.22.9"],
            "from 4.18.52 they go as far as 4.19.42",
            "choose a goal up to 4.19.42, or wait",
        ),
        (
            ["openshift", "--from", "4.18.54", "--to", "4.22.9"],
            "no update from 4.18.54 towards 4.22.9 is published in channel stable",
            "choose another --channel",
        ),
    ],
)
def test_no_path_is_exit_1_and_says_what_closes_it_and_what_opens_it(
    arguments: list[str], reason: str, hint: str
) -> None:
    said = knowngood("path", *arguments)
    assert (said.code, said.out) == (1, "")
    assert reason in said.err
    assert hint in said.err


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        (["path", "openshfit", "--from", "4.18.1", "--to", "4.18.2"], "openshift"),
        (["path", "openshift", "--from", "4.18.2x", "--to", "4.18.22"], "4.18.2"),
        (["path", "openshift", "--from", "4.18.21", "--to", "9"], "near it: 4.9|the newest known is 5"),
        (["edge", "openshift", "4.18.21", "4.18.222"], "4.18.22"),
        (["path", "rdma-mode", "--from", "a", "--to", "b"], "versions are known of"),
        (
            ["path", "openshift", "--from", "4.18.1", "--to", "4.18.2", "--accept-risk", "CrunConflicts"],
            "CrunConflictsWithNVIDIA",
        ),
        (["path", "gpu-operator", "--from", "24.6.2", "--to", "24.9.0", "--openshift", "4.1"], "known: 4.12"),
        (["path", "openshift", "--from", "4.18.1", "--to", "4.18.2", "--channel", "beta"], "stable"),
        (
            ["path", "nvidia-driver", "--from", "580.173.02", "--to", "595.91.07", "--openshift", "nonsense"],
            "no catalog of nvidia-driver is known",
        ),
    ],
)
def test_what_is_unknown_is_exit_2_and_names_the_near_ones(arguments: list[str], near: str) -> None:
    said = knowngood(*arguments)
    assert (said.code, said.out) == (2, "")
    assert any(words in said.err for words in near.split("|"))


def test_an_update_that_olm_offers_and_the_vendor_does_not_is_named_as_such() -> None:
    said = knowngood("edge", "gpu-operator", "24.6.2", "26.7.0")
    assert "offered, but not supported" in said.out
    assert not json.loads(knowngood("edge", "gpu-operator", "24.6.2", "26.7.0", "-o", "json").out)["exists"]


def test_firmware_reboots_its_node_at_each_move() -> None:
    said = knowngood("path", "nic-firmware", "--from", "28.46.1006", "--to", "28.47.1026", "-o", "json")
    assert json.loads(said.out)["worker_reboots"] == 1
