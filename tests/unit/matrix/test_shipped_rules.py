"""The shipped rules: each row of each can be kept and broken, and the incidents they were written for are caught."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pytest

from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.matrix import Rule, Severity
from knowngood.planner.rules.evaluation import (
    Finding,
    Outcome,
    broken,
    completed,
    evaluate,
    in_range,
    ranges_of,
)
from knowngood.planner.version import key

MATRIX = load(matrix_dir())
HOPPER = {"gpu-arch": "hopper", "gpu-model": "h200", "nic-model": "connectx-7"}
ALL = sorted(MATRIX.rules)
EDGES = {  # far below and far above everything
    "numeric": ("0.0.1", "9999.0.0"),
    "openshift": ("0.0.1", "9999.0.0", "4.14.0-202407010000", "4.15.0-202407010000", "4.16.0-202407010000"),
    "nvidia-driver": ("100.10", "999.99.99"),
    "doca-ofed": ("20.01-1", "99.12-1", "26.04-0.8.6.0-0"),
    "kernel": ("1.0.0", "99.0.0"),
    "kubernetes": ("0.0.1", "9999.0.0"),
    "text": ("something-else",),
}


@dataclass(frozen=True)
class Row:
    """One thing that a rule can say: the condition of the rule and of the row, and what is required."""

    when: tuple[tuple[str, str], ...]
    require: Mapping[str, str]


def rows(rule: Rule) -> Iterator[Row]:
    when = tuple(rule.when.items())
    if rule.require:
        yield Row(when, rule.require)
    for case in rule.cases:
        yield Row((*when, *case.when.items()), case.require)
    for claim in rule.claims:
        yield Row(when, claim.require)


def candidates(component: str) -> list[str]:
    """Exact versions around every number that any rule or release says about a component."""
    scheme = MATRIX.components[component].scheme
    said = [text for rule in MATRIX.rules.values() for name, text in ranges_of(rule) if name == component]
    said += [r.components[component] for r in MATRIX.releases.values() if component in r.components]
    words = {re.sub(r"^[<>=!]+|\.[x*]$", "", word) for text in said for word in text.split()} - {"||", "*"}
    near = {f"{w}{tail}" for w in words for tail in ("", ".0", ".0.0", ".9", ".9.9", ".00", "-0.0", "-1.0.0")}
    near |= {stepped(w, step) for w in words for step in (1, -1)}
    return [v for v in sorted(near) + list(EDGES[scheme]) if is_whole(scheme, v)]


def stepped(version: str, step: int) -> str:
    """The version with its last number one higher or lower, as wide as it was."""
    return re.sub(r"\d+$", lambda m: str(max(int(m[0]) + step, 0)).zfill(len(m[0])), version)


def is_whole(scheme: str, version: str) -> bool:
    try:
        key(scheme, version)
    except ValueError:
        return False
    return True


def fits(row: Row, component: str, *, broken_here: bool) -> str:
    """A version that meets the row's condition and keeps, or breaks, what it requires; "" where there is none."""
    scheme = MATRIX.components[component].scheme
    for version in candidates(component):
        if all(in_range(scheme, text, version) for name, text in row.when if name == component) and (
            component not in row.require
            or in_range(scheme, row.require[component], version) is not broken_here
        ):
            return version
    return ""


def state(row: Row, culprit: str = "") -> dict[str, str]:
    """Versions that meet the row and keep it, but for the culprit; {} where there are none."""
    wanted = {name for name, _ in row.when} | set(row.require)
    found = {name: fits(row, name, broken_here=name == culprit) for name in wanted}
    return found if all(found.values()) else {}


def outcomes(rule: Rule, versions: Mapping[str, str]) -> set[Outcome]:
    traits = {name: values[0] for name, values in rule.traits.items()}
    return {f.outcome for f in evaluate([rule], MATRIX.components, versions, traits)}


@pytest.mark.parametrize("name", ALL)
def test_each_row_of_each_rule_can_be_broken_by_each_component_that_it_requires(name: str) -> None:
    """A row that can't fail checks nothing. Presence alone (`*`) is broken by absence, which is unknown."""
    rule = MATRIX.rules[name]
    for row in rows(rule):
        for culprit in row.require:
            if row.require[culprit] == "*":
                others = {k: v for k, v in state(row).items() if k != culprit}
                assert outcomes(rule, others) == {Outcome.UNKNOWN}
                continue
            versions = state(row, culprit)
            assert versions or culprit in dict(row.when), f"nothing breaks {row} by {culprit}"
            if versions:
                assert Outcome.BROKEN in outcomes(rule, versions), f"{versions} does not break {row}"
        assert any(state(row, culprit) or row.require[culprit] == "*" for culprit in row.require), row


@pytest.mark.parametrize("name", ALL)
def test_each_row_of_each_rule_can_be_kept_or_is_a_ban(name: str) -> None:
    """A row that nothing keeps is a ban of its own condition: those are few and named."""
    rule = MATRIX.rules[name]
    for row in rows(rule):
        if not rule.claims and name not in BANS:
            assert Outcome.OK in outcomes(rule, state(row)), row
    if not list(rows(rule)):
        versions = {n: fits(Row(tuple(rule.when.items()), {}), n, broken_here=False) for n in rule.when}
        assert outcomes(rule, versions) == {Outcome.NOTE}


BANS = {
    "dma-buf-needs-turing",
    "driver-535-end-of-life",
    "driver-branch-ended",
    "gpu-operator-26-3-mofed-regression",
}


def verdict(versions: Mapping[str, str], severity: Severity, **traits: str) -> dict[str, str]:
    """Broken rules of that severity, by name, with what a person reads."""
    known = {**HOPPER, **{k.replace("_", "-"): v for k, v in traits.items()}}
    findings = evaluate(MATRIX.rules.values(), MATRIX.components, versions, known)
    return {f.rule.name: f.sentence() for f in broken(findings, severity)}


def refused(versions: Mapping[str, str], **traits: str) -> dict[str, str]:
    return verdict(versions, Severity.BLOCK, **traits)


def about(name: str, versions: Mapping[str, str], traits: Mapping[str, str] = HOPPER) -> list[Finding]:
    return list(evaluate([MATRIX.rules[name]], MATRIX.components, versions, traits))


def test_gpu_operator_26_3_2_with_network_operator_26_4_0_and_rdma_is_blocked_with_its_source() -> None:
    said = refused({"gpu-operator": "26.3.2", "network-operator": "26.4.0", "rdma-mode": "dma-buf"})
    assert "NVIDIA/cloud-native-stack" in said["no-rdma-gpu-operator-26-3-2-network-operator-26-4-0"]
    for other in ({"gpu-operator": "26.3.3"}, {"network-operator": "26.4.1"}):
        versions = {"gpu-operator": "26.3.2", "network-operator": "26.4.0", **other}
        assert refused(versions) == {}


def test_openshift_4_22_with_network_operator_26_4_0_is_refused() -> None:
    versions = {"openshift": "4.22.9", "network-operator": "26.4.0"}
    assert "catalogs/v4.22" in refused(versions)["network-operator-for-openshift-4-22"]
    assert (
        "says openshift >=4.17 <4.22" in verdict(versions, Severity.WARN)["network-operator-26-4-openshift"]
    )
    assert refused({"openshift": "4.22.9", "network-operator": "26.4.1"}) == {}


def test_gpu_operator_26_7_with_network_operator_26_4_0_leaves_openshift_4_18_to_4_21() -> None:
    both = {"gpu-operator": "26.7.0", "network-operator": "26.4.0"}
    minors = [m for m in range(12, 23) if not refused({**both, "openshift": f"4.{m}.60"})]
    assert minors == [18, 19, 20, 21]


@pytest.mark.parametrize("openshift", ["4.18.22", "4.18.23"])
def test_crun_is_named_where_the_gpu_operator_is_installed(openshift: str) -> None:
    said = refused({"openshift": openshift, "gpu-operator": "25.3.2"})
    assert "CrunConflictsWithNVIDIA" in said["openshift-crun-breaks-gpu-pods"]
    assert refused({"openshift": openshift}) == {}


def test_a_driver_toolkit_of_another_kernel_is_named() -> None:
    said = refused({"openshift": "4.16.58", "gpu-operator": "25.10.1"})
    assert "DTK_4_16_58_KernelMismatch" in said["openshift-driver-toolkit-mismatch"]


@pytest.mark.parametrize(
    ("openshift", "kernel"),
    [("4.14.34", "5.14.0-427.el9_4"), ("4.18.52", "5.14.0-570.el9_6"), ("4.22.9", "5.14.0-570.120.1.el9_6")],
)
def test_a_kernel_that_is_not_its_openshifts_is_named(openshift: str, kernel: str) -> None:
    assert any(
        n.startswith("kernel-of-openshift") for n in refused({"openshift": openshift, "rhcos-kernel": kernel})
    )
    assert refused({"openshift": openshift}) == {}


def test_a_setting_that_selects_peermem_contradicts_dma_buf() -> None:
    versions = {"rdma-mode": "dma-buf", "gpu-operator-rdma": "true"}
    assert "rdma-enabled-selects-peermem" in refused(versions)
    assert refused({**versions, "gpu-operator-rdma": "false"}) == {}


def test_blackwell_with_proprietary_modules_is_blocked_hopper_is_not_and_nobody_knows_without_a_profile() -> (
    None
):
    versions = {"nvidia-driver": "580.173.02", "kernel-module-type": "proprietary"}
    assert "blackwell-needs-open-modules" in refused(versions, gpu_arch="blackwell")
    assert refused(versions) == {}
    (finding,) = about("blackwell-needs-open-modules", versions, {})
    assert (finding.outcome, finding.component) == (Outcome.UNKNOWN, "gpu-arch")


def test_hgx_b200_needs_its_driver() -> None:
    versions = {"nvidia-driver": "570.124.06", "kernel-module-type": "open"}
    assert "hgx-b200-needs-driver-570-133" in refused(versions, gpu_arch="blackwell", gpu_model="hgx-b200")
    assert refused(versions) == {}


@pytest.mark.parametrize(
    ("before", "first"), [("4.14.33", "4.14.34"), ("4.15.24", "4.15.25"), ("4.16.6", "4.16.7")]
)
def test_an_sriov_operator_of_before_2024_08_26_must_move_before_the_kernel(before: str, first: str) -> None:
    minor = first.rpartition(".")[0]
    old, new = f"{minor}.0-202408230108", f"{minor}.0-202409051837"
    assert refused({"openshift": before, "sriov-network-operator": old}) == {}
    said = refused({"openshift": first, "sriov-network-operator": old})
    assert "SRIOVFailedToConfigureVF" in said["sriov-operator-for-changed-kernel"]
    assert refused({"openshift": first, "sriov-network-operator": new}) == {}


@pytest.mark.parametrize(
    ("versions", "traits"),
    [({"cilium": "1.18.13"}, {}), ({}, {"network": "cilium"}), ({}, {"network": "calico"})],
)
def test_multus_of_openshift_4_22_3_to_4_22_5_breaks_cilium(
    versions: dict[str, str], traits: dict[str, str]
) -> None:
    for z in (3, 4, 5):
        said = refused({**versions, "openshift": f"4.22.{z}"}, **traits)
        assert any("MultusCniVersionThirdPartyCniBreak" in sentence for sentence in said.values())
    assert refused({**versions, "openshift": "4.22.6"}, **traits) == {}
    assert refused({"openshift": "4.22.4"}, network="ovn-kubernetes") == {}


@pytest.mark.parametrize(
    ("name", "versions"),
    [
        ("gpu-operator-26-3-0-openshift", {"gpu-operator": "26.3.1", "openshift": "4.16.55"}),
        ("gpu-operator-26-3-openshift", {"gpu-operator": "26.3.3", "openshift": "4.17.56"}),
        ("network-operator-26-4-1-openshift", {"network-operator": "26.4.1", "openshift": "4.22.9"}),
        (
            "nfd-of-gpu-operator-26-3",
            {"gpu-operator": "26.3.3", "network-operator": "26.1.1", "nfd": "0.18.3"},
        ),
        (
            "nfd-of-gpu-operator-26-3",
            {"gpu-operator": "26.3.3", "network-operator": "26.1.1", "nfd": "0.17.0"},
        ),
    ],
)
def test_where_sources_contradict_each_other_both_are_named(name: str, versions: dict[str, str]) -> None:
    (finding,) = about(name, versions)
    assert finding.outcome is Outcome.BROKEN
    assert all(claim.source.ref in finding.sentence() for claim in finding.rule.claims)


def test_red_hats_nfd_is_not_judged_by_upstreams_numbers() -> None:
    versions = {"gpu-operator": "26.3.3", "network-operator": "26.1.1", "nfd": "4.20.0"}
    assert about("nfd-of-gpu-operator-26-3", versions) == []


@pytest.mark.parametrize("name", sorted(n for n, r in MATRIX.releases.items() if "openshift" in r.components))
def test_the_kernel_that_follows_from_openshift_is_the_one_that_releases_name(name: str) -> None:
    versions = dict(MATRIX.releases[name].components)
    named = versions.pop("rhcos-kernel")
    assert completed(MATRIX.components, versions)["rhcos-kernel"] == named


def test_kubernetes_follows_openshift_from_4_14_to_4_22() -> None:
    for minor in range(14, 23):
        known = completed(MATRIX.components, {"openshift": f"4.{minor}.60"})
        assert known["kubernetes"] == f"1.{minor + 13}.0"


def test_every_rule_has_a_source_and_a_message_of_one_line() -> None:
    for rule in MATRIX.rules.values():
        assert rule.sources, rule.name
        assert 0 < len(rule.message) <= 200, rule.name
