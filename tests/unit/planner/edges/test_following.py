"""Which version may follow which: OLM's edges, the vendor's steps, and both together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache

import pytest
from tests.cases import CASES, needs_cases
from tests.unit.planner.matrices import HERE, SOURCE

from knowngood.adapters.upstream.olm_catalog import catalog as read_catalog
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir
from knowngood.model.graph import Bundle, Catalog, Edges, Risk, Steps, Version
from knowngood.planner.edges.following import allowed, by_reinstall, edge, moves
from knowngood.planner.edges.no_path import why_not
from knowngood.planner.edges.olm import line
from knowngood.planner.edges.path import path


def catalog(minor: str, **channels: tuple[Bundle, ...]) -> Catalog:
    return Catalog(minor, next(iter(channels)), channels, (SOURCE,), HERE)


def steps(*order: str, at_most: int = 1, reinstall: bool = False) -> Steps:
    return Steps(order, at_most, "one at a time", (SOURCE,), HERE, reinstall)


def known(*versions: str) -> Mapping[str, Version]:
    return {v: Version(v) for v in versions}


OPERATOR = Edges(
    "op",
    known("1.0.0", "1.1.0", "1.2.0", "2.0.0", "3.0.0"),
    catalogs={
        "4.18": catalog(
            "4.18",
            stable=(
                Bundle("1.0.0"),
                Bundle("1.1.0", replaces="1.0.0"),
                Bundle("1.2.0", replaces="1.1.0", skips=("1.0.0",)),
                Bundle("2.0.0", replaces="1.2.0", skip_range=">=1.1.0 <2.0.0 || 0.9.0"),
            ),
        ),
        "4.19": catalog("4.19", stable=(Bundle("3.0.0", replaces="1.0.0"),)),
    },
)


def test_replaced_skipped_and_in_range_are_olms_three_edges() -> None:
    assert moves(OPERATOR, "numeric", "1.0.0", openshift="4.18") == ("1.1.0", "1.2.0")
    assert moves(OPERATOR, "numeric", "1.1.0", openshift="4.18") == ("1.2.0", "2.0.0")
    assert moves(OPERATOR, "numeric", "0.9.0", openshift="4.18") == ("2.0.0",)


def test_a_skipped_bundle_is_no_target_and_no_way_through() -> None:
    """csm-operator's channel: 1.10.0 and 1.10.1 are there, and from 1.9.1 OLM goes to 1.10.2 only."""
    entries = (
        Bundle("1.9.1"),
        Bundle("1.10.0", replaces="1.9.1"),
        Bundle("1.10.1", replaces="1.9.1", skips=("1.10.0",)),
        Bundle("1.10.2", replaces="1.9.1", skips=("1.10.0", "1.10.1")),
        Bundle("1.11.0", replaces="1.10.2"),
    )
    one = Edges(
        "op", known(*(b.version for b in entries)), catalogs={"4.18": catalog("4.18", stable=entries)}
    )
    assert moves(one, "numeric", "1.9.1", openshift="4.18") == ("1.10.2",)
    assert moves(one, "numeric", "1.10.0", openshift="4.18") == ("1.10.2",), "who is on it gets off it"
    assert not edge(one, "1.9.1", "1.10.1").exists
    assert path(one, "numeric", "1.9.1", "1.10.1", openshift="4.18") is None
    said = why_not(one, "numeric", "1.9.1", "1.10.1", openshift="4.18")
    assert (said.reason, said.hint) == ("OLM never updates to 1.10.1: 1.10.2 skips it", "go to 1.10.2")


def test_a_channel_with_two_heads_offers_nothing_and_that_is_why() -> None:
    entries = (Bundle("1.0.0"), Bundle("1.1.0", replaces="1.0.0"), Bundle("1.2.0", replaces="1.0.0"))
    two = Edges("op", known("1.0.0", "1.1.0", "1.2.0"), catalogs={"4.18": catalog("4.18", stable=entries)})
    assert moves(two, "numeric", "1.0.0", openshift="4.18") == ()
    said = why_not(two, "numeric", "1.0.0", "1.2.0", openshift="4.18").reason
    assert "channel stable of 4.18 has several heads (1.1.0, 1.2.0)" in said


def test_a_channel_that_runs_in_a_circle_has_no_head() -> None:
    entries = (Bundle("1.0.0", replaces="1.1.0"), Bundle("1.1.0", replaces="1.0.0"))
    assert line(entries) == ()


@pytest.mark.parametrize(
    ("case", "start", "wanted"),
    [
        ("o2-skips-chain", "1.0.0", ()),
        ("o2-skips-chain", "2.0.0", ("3.0.0",)),
        ("o2-skips-chain", "3.0.0", ("4.0.0",)),
        ("o4-cross-channel", "0.0.12", ()),
        ("o5-replaces-behind", "1.1.1", ("1.2.0",)),
        ("o5-replaces-behind", "1.2.0", ()),
    ],
)
@needs_cases
def test_public_catalogs_offer_what_olm_offered(case: str, start: str, wanted: tuple[str, ...]) -> None:
    file = CASES / "o" / f"{case}.yaml"
    one = read_catalog(file, "test-operator")
    versions = sorted({b.version for entries in one.channels.values() for b in entries})
    assert moves(Edges("op", known(*versions), catalogs={"": one}), "numeric", start) == wanted


def test_the_catalog_of_the_minor_decides_and_one_that_is_given_before_it() -> None:
    assert moves(OPERATOR, "numeric", "1.0.0", openshift="4.19.7") == ("3.0.0",)
    assert moves(OPERATOR, "numeric", "1.0.0", openshift="4.20") == ()
    assert moves(OPERATOR, "numeric", "1.0.0") == ("1.1.0", "1.2.0", "3.0.0")
    given = catalog("4.18", own=(Bundle("1.5.0", skip_range="<1.5.0"),))
    assert moves(OPERATOR, "numeric", "1.0.0", openshift="4.19", catalog=given) == ("1.5.0",)


def test_no_catalog_leads_back() -> None:
    back = catalog("4.18", stable=(Bundle("1.0.0", skip_range=">=1.0.0 <9.0.0"),))
    assert moves(OPERATOR, "numeric", "2.0.0", catalog=back) == ()


def test_without_graph_and_catalogs_every_known_version_follows_every_other() -> None:
    free = Edges("driver", known("550.90.07", "580.173.02", "595.91.07"))
    assert moves(free, "nvidia-driver", "580.173.02") == ("550.90.07", "595.91.07")


def test_the_stricter_of_both_graphs_holds() -> None:
    both = Edges("op", OPERATOR.versions, catalogs=OPERATOR.catalogs, steps=steps("1", "2", "3"))
    assert moves(both, "numeric", "1.0.0") == ("1.1.0", "1.2.0")
    assert not edge(both, "1.0.0", "3.0.0").exists
    assert edge(OPERATOR, "1.0.0", "3.0.0").exists


@pytest.mark.parametrize(
    ("a", "b", "supported"),
    [
        ("24.6.2", "24.6.2", True),
        ("24.6.2", "24.9.0", True),
        ("24.6.2", "25.3.0", False),
        ("24.9.0", "24.6.2", False),
        ("24.60.0", "24.9.0", False),
        ("23.9.0", "24.6.0", False),
        ("25.3.0", "25.10.0", False),
    ],
)
def test_a_step_stays_in_a_major_or_goes_to_the_next_and_unknown_majors_are_in_none(
    a: str, b: str, supported: bool
) -> None:
    assert allowed(steps("24.6", "24.9", "25.3"), a, b) is supported


def test_a_reinstallation_is_offered_only_where_the_vendor_says_so_and_no_catalog_updates() -> None:
    entries = (
        Bundle("24.4.1"),
        Bundle("24.7.0"),
        Bundle("24.10.0"),
        Bundle("25.1.0", replaces="24.10.0"),
        Bundle("25.4.0"),
    )
    order = ("24.4", "24.7", "24.10", "25.1", "25.4")
    versions = known(*(b.version for b in entries))

    def op(*, reinstall: bool) -> Edges:
        channels = {f"v{b.version}": (b,) for b in entries} | {"v25.1.0": entries[2:4]}
        found = {"4.14": catalog("4.14", **channels)}
        return Edges("op", versions, catalogs=found, steps=steps(*order, reinstall=reinstall))

    assert moves(op(reinstall=False), "numeric", "24.4.1") == ()
    assert moves(op(reinstall=True), "numeric", "24.4.1") == ("24.7.0",)
    assert moves(op(reinstall=True), "numeric", "24.10.0") == ("25.1.0",)
    assert by_reinstall(op(reinstall=True), "24.4.1", "24.7.0")
    assert not by_reinstall(op(reinstall=True), "24.10.0", "25.1.0")
    found = path(op(reinstall=True), "numeric", "24.4.1", "25.1.0")
    assert found
    assert [h.kind for h in found.hops] == ["reinstall", "reinstall", "real"]


def test_what_another_channel_offers_is_no_update_for_a_subscription() -> None:
    found = {"4.18": catalog("4.18", stable=(Bundle("25.10.0"), Bundle("26.1.0", replaces="25.10.0")))}
    found["4.18"] = replace(found["4.18"], channels={**found["4.18"].channels, "v26.1": (Bundle("26.1.0"),)})
    op = Edges("op", known("25.10.0", "26.1.0"), catalogs=found, steps=steps("25.10", "26.1", reinstall=True))
    assert not by_reinstall(op, "25.10.0", "26.1.0", channel="stable")
    assert by_reinstall(op, "25.10.0", "26.1.0", channel="v26.1")
    assert not by_reinstall(replace(op, steps=steps("25.10", "26.1")), "25.10.0", "26.1.0", channel="v26.1")


def test_a_graphs_moves_are_its_edges_oldest_first() -> None:
    graph = Edges(
        "openshift",
        {
            "4.18.2": Version("4.18.2"),
            "4.18.9": Version("4.18.9", previous=frozenset({"4.18.2"})),
            "4.18.10": Version("4.18.10", previous=frozenset({"4.18.2", "4.18.9"})),
        },
        graph=True,
    )
    assert moves(graph, "openshift", "4.18.2") == ("4.18.9", "4.18.10")
    assert moves(graph, "openshift", "4.17.1") == ()


def test_a_risk_is_searched_in_the_version_with_its_architecture() -> None:
    def met(expression: str, start: str) -> bool:
        risk = Risk("R", True, "", "", "high", {"4.18.9": expression}, (), HERE)
        return edge(Edges("openshift", {}, graph=True, risks={"R": risk}), start, "4.18.9").always == ("R",)

    assert met("4[.]18[.]2[+]", "4.18.2")
    assert not met("4[.]18[.]2[+]", "4.18.20")
    assert met("18", "4.18.20")
    assert met("amd64$", "4.18.2")
    assert not met("^18", "4.18.2")


# What ships


@cache
def all_shipped() -> Mapping[str, Edges]:
    return load(matrix_dir()).edges


def shipped(component: str) -> Edges:
    return all_shipped()[component]


def test_olm_would_jump_but_the_vendor_goes_step_by_step() -> None:
    """GPU Operator 24.6 to 26.7: every bundle takes any older one, the vendor only the next major."""
    gpu = shipped("gpu-operator")
    assert not edge(gpu, "24.6.2", "26.7.0").exists
    found = path(gpu, "numeric", "24.6.2", "26.7.0")
    assert found
    assert [h.to.rpartition(".")[0] for h in found.hops] == ["24.9", "25.3", "25.10", "26.3", "26.7"]
    why = why_not(gpu, "numeric", "24.6.2", "26.7.0", openshift="4.17")
    assert "OpenShift 4.17" in why.reason


def test_openshift_ai_goes_to_3_only_from_a_late_2_25() -> None:
    ai = shipped("openshift-ai")
    assert not [v for v in moves(ai, "openshift", "2.22.3", openshift="4.19") if v.startswith("3.")]
    assert "3.3.6" in moves(ai, "openshift", "2.25.10", openshift="4.19")
    assert "3.3.6" not in moves(ai, "openshift", "2.25.10", openshift="4.18")


def test_the_catalog_of_4_22_begins_at_network_operator_26_4_1() -> None:
    network = shipped("network-operator")
    assert {b.version for entries in network.catalogs["4.22"].channels.values() for b in entries} == {
        "26.4.1"
    }
    found = path(network, "numeric", "24.4.1", "26.4.1")
    assert found
    assert [h.kind for h in found.hops][:4] == ["reinstall"] * 4


def test_firmware_never_changes_the_board() -> None:
    firmware = shipped("nic-firmware")
    assert {v.partition(".")[0] for v in moves(firmware, "numeric", "28.46.1006")} == {"28"}
    assert "28.42.1000" in moves(firmware, "numeric", "28.46.1006"), "and may go back"
