"""Versions compare by their component's scheme and stay text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from knowngood.planner.spelling import plain
from knowngood.planner.version import SCHEMES, bound, is_whole, key, runs

ORDERED = {
    "numeric": [
        "1.15.0",
        "1.15.0-0.1738074324.p",
        "1.15.0-0.1739000000.p",
        "1.15.1",
        "24.9.2",
        "25.3.0",
        "25.10.0",
        "26.3.3",
        "26.7.0",
        "28.47.1026",
    ],
    "openshift": ["4.18.9", "4.18.52", "4.19.0-ec.1", "4.19.0-rc.0", "4.19.0-rc.2", "4.19.0-rc.10", "4.19.0"],
    "nvidia-driver": [
        "550.54.15",
        "550.100",
        "550.107.02",
        "580.95.05",
        "580.173.02",
        "595.91.07",
        "610.57.04",
    ],
    "doca-ofed": [
        "24.10-0.7.0.0-0",
        "25.04-0.6.1.0-2",
        "doca3.2.0-25.10-1.2.8.0-2",
        "doca3.3.0-26.01-1.0.0.0-0",
        "doca3.3.0-26.01-1.0.0.0-4",
        "doca3.4.0-26.04-0.8.6.0-0",
        "doca3.4.1-26.04-1.1.0.0-1",
    ],
    "kubernetes": ["1.33.9", "1.34.0-alpha.2", "1.34.0-rc.1", "1.34.0", "1.34.3+k3s1", "1.35.0-gke.100"],
    "kernel": [
        "4.18.0-372.el8",
        "5.14.0-284.el9_2",
        "5.14.0-427.el9_4",
        "5.14.0-427.109.1.el9_4.x86_64+rt",
        "5.14.0-570.12.1.el9_6+64k",
        "6.8.0-45-generic",
        "6.12.6-talos",
    ],
}


@pytest.mark.parametrize("scheme", ORDERED)
def test_the_order_is_that_of_the_releases(scheme: str) -> None:
    versions = ORDERED[scheme]
    keys = [key(scheme, v) for v in versions]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize(
    ("scheme", "version"),
    [
        ("numeric", "26.7"),
        ("numeric", "v26.7.0"),
        ("numeric", "26.7.0-rc1"),
        ("numeric", "1.15.0-0.p"),
        ("openshift", "4.21.0-okd-scos.11"),
        ("openshift", "4.19.0-0.okd-2024-11-01-000000"),
        ("numeric", "\u0663.\u0667.\u0660"),
        ("openshift", "4.18"),
        ("openshift", "4.18.x"),
        ("nvidia-driver", "580"),
        ("nvidia-driver", "580.95.5"),
        ("nvidia-driver", "sha256:00"),
        ("doca-ofed", "26.04"),
        ("kernel", "5.14"),
        ("text", "two words"),
        ("text", ""),
        ("semver", "1.2.3"),
    ],
)
def test_what_is_not_one_release_is_refused(scheme: str, version: str) -> None:
    with pytest.raises(ValueError, match=r"looks like|write it like|no version scheme"):
        key(scheme, version)


def test_each_scheme_has_an_example_that_is_a_whole_version() -> None:
    for name, scheme in SCHEMES.items():
        assert is_whole(name, scheme.example)


def test_a_shortened_version_comes_before_all_that_begin_with_it() -> None:
    assert bound("openshift", "4.19") < key("openshift", "4.19.0-ec.0") < key("openshift", "4.19.0")
    assert key("openshift", "4.18.99") < bound("openshift", "4.19")


def test_builds_of_openshift_are_one_version() -> None:
    assert key("openshift", "4.18.52+amd64") == key("openshift", "4.18.52")


NUMBERS = st.lists(st.integers(0, 3000), min_size=3, max_size=5).map(lambda n: ".".join(map(str, n)))


@given(NUMBERS, NUMBERS)
def test_dotted_numbers_order_as_packaging_does(a: str, b: str) -> None:
    assert (key("numeric", a) < key("numeric", b)) is (Version(a) < Version(b))
    assert (key("numeric", a) == key("numeric", b)) is (Version(a) == Version(b))


@given(
    st.lists(
        st.tuples(st.integers(100, 999), st.integers(10, 999), st.integers(0, 99)), min_size=2, max_size=6
    )
)
def test_drivers_order_by_their_numbers(numbers: list[tuple[int, int, int]]) -> None:
    texts = [f"{a}.{b}.{c:02}" for a, b, c in numbers]
    assert sorted(texts, key=lambda v: key("nvidia-driver", v)) == [
        f"{a}.{b}.{c:02}" for a, b, c in sorted(numbers)
    ]


@pytest.mark.parametrize(
    ("scheme", "declared", "running", "same"),
    [
        ("nvidia-driver", "580.173.02", "580.173.02", True),
        ("nvidia-driver", "580.173.02", "580.173.2", False),
        ("kernel", "5.14.0-427.el9_4", "5.14.0-427.109.1.el9_4.x86_64", True),
        ("kernel", "5.14.0-427.el9_4", "5.14.0-570.12.1.el9_6.x86_64", False),
        ("kernel", "5.14.0-427.109.1.el9_4", "5.14.0-427.el9_4", False),
        ("kernel", "5.14.0-427.el9_4", "", False),
        ("kernel", "5.14.0-427.el9_4", "5.14.0-427.109.1.el9_4.x86_64+rt", False),
        ("kernel", "5.14.0-427.el9_4+rt", "5.14.0-427.109.1.el9_4.x86_64+rt", True),
        ("kernel", "5.14.0-427.el9_4+rt", "5.14.0-427.109.1.el9_4.x86_64", False),
        ("kernel", "5.14.0-427.el9_4", "5.14.0-427.109.1.el9_4.aarch64+64k", False),
        ("kernel", "5.14.0-427.el9_4+64k", "5.14.0-427.109.1.el9_4.aarch64+rt-64k", False),
        ("kernel", "4.18.0-372.el8", "4.18.0-372.9.1.rt7.166.el8.x86_64", False),
        ("kernel", "6.8.0-45-generic", "6.8.0-45-azure", False),
        ("kernel", "6.8.0-45", "6.8.0-45-generic", True),
        ("kernel", "6.12.6", "6.12.6-talos", True),
        ("kubernetes", "1.34.3", "1.34.3", True),
        ("kubernetes", "1.27.4", "1.27.4+deb2c60", True),
        ("kubernetes", "1.31.4", "1.31.4+rke2r1", False),
        ("kubernetes", "1.31.4", "1.31.4-eks-7f9249a", False),
        ("kubernetes", "1.31.4+k3s1", "1.31.4+k3s1", True),
        ("kubernetes", "1.35.0", "1.35.0-rc.1", False),
        ("doca-ofed", "doca3.4.1-26.04-1.1.0.0-1", "26.04-1.1.0", True),
        ("doca-ofed", "doca3.4.1-26.04-1.1.0.0-1", "doca3.4.1-26.04-1.1.0.0-1", True),
        ("doca-ofed", "doca3.4.1-26.04-1.1.0.0-1", "26.04-0.8.6", False),
        ("doca-ofed", "doca3.4.1-26.04-1.1.0.0-1", "26.04", False),
        ("doca-ofed", "doca3.4.1-26.04-1.1.0.0-1", "inbox", False),
        ("text", "open", "open", True),
    ],
)
def test_what_runs_is_what_is_declared(scheme: str, declared: str, running: str, same: bool) -> None:
    """A node may say more or less than the declaration; it may never say something else."""
    assert runs(scheme, declared, running) is same


@pytest.mark.parametrize(
    ("scheme", "printed", "meant"),
    [
        ("numeric", "v25.3.4", "25.3.4"),
        ("numeric", " V26.7.0 ", "26.7.0"),
        ("numeric", "28.43.2026 (MT_0000000838)", "28.43.2026"),
        ("numeric", "22.41.1000 (DEL0000000027)", "22.41.1000"),
        ("openshift", "v1.34.6", "1.34.6"),
        ("nvidia-driver", "v580.95.05", "580.95.05"),
        ("doca-ofed", "MLNX_OFED_LINUX-24.10-3.2.5.0:", "24.10-3.2.5.0"),
        ("doca-ofed", "OFED-internal-25.10-1.2.2", "25.10-1.2.2"),
        ("doca-ofed", "doca3.2.0-25.10-1.2.8.0-2", "doca3.2.0-25.10-1.2.8.0-2"),
        ("text", "v1", "v1"),
        ("numeric", "vgpu", "vgpu"),
    ],
)
def test_a_version_is_understood_as_clusters_print_it(scheme: str, printed: str, meant: str) -> None:
    assert plain(scheme, printed) == meant


def test_in_a_file_the_plain_form_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"write it like 26\.7\.0"):
        key("numeric", "v26.7.0")


def test_another_product_of_the_same_scheme_is_named() -> None:
    with pytest.raises(ValueError, match="OKD, another product than OpenShift"):
        key("openshift", "4.21.0-okd-scos.11")
