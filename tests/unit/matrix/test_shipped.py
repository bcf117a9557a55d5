"""The shipped matrix: clean, sourced; test_shipped_rules.py looks at its rules."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from knowngood import probe
from knowngood.gate import verdicts
from knowngood.matrix.lint.nodes import HEEDING
from knowngood.matrix.load import check
from knowngood.matrix.locate import gates_dir, matrix_dir
from knowngood.matrix.schema import validator
from knowngood.model.errors import Refused
from knowngood.model.matrix import Matrix, ReleaseStatus, Severity
from knowngood.planner.plan.planning import plan
from knowngood.planner.rules.evaluation import Outcome, broken, evaluate, traits_of
from knowngood.report.plan_text import plan_text

DRIVERS = {"r580": "580.173.02", "r595": "595.91.07", "r610": "610.57.04"}

CORE = (
    "openshift",
    "rhcos-kernel",
    "gpu-operator",
    "nvidia-driver",
    "kernel-module-type",
    "network-operator",
    "doca-ofed",
    "rdma-mode",
    "nic-firmware",
)
BREAKS: dict[str, dict[str, str | None]] = {
    "dma-buf-needs-driver-515": {"nvidia-driver": "510.108.03"},
    "dma-buf-needs-kernel-5-12": {"rhcos-kernel": "4.18.0-372.el8"},
    "dma-buf-needs-open-modules": {"kernel-module-type": "proprietary"},
    "doca-ofed-for-openshift-4-18": {"doca-ofed": "24.10-0.7.0.0-0"},
    "driver-535-end-of-life": {"nvidia-driver": "535.309.01"},
    "driver-before-570-no-auto-module-type": {"nvidia-driver": "550.54.15", "kernel-module-type": "auto"},
    "driver-branch-ended": {"nvidia-driver": "575.57.08"},
    "driver-listed-for-operator-26-7": {"nvidia-driver": "580.178.04"},
    "firmware-floor-connectx-7": {"nic-firmware": "28.39.1002"},
    "firmware-for-doca-ofed-25-10": {"doca-ofed": "25.10-1.2.8.0-2", "nic-firmware": "28.46.1006"},
    "gpu-operator-26-3-mofed-regression": {"gpu-operator": "26.3.1"},
    "gpu-operator-26-3-openshift": {"gpu-operator": "26.3.3", "openshift": "4.17.56"},
    "gpu-operator-26-7-openshift": {"openshift": "4.17.56"},
    "gpu-operator-last-for-openshift-4-17": {"openshift": "4.16.55"},
    "kernel-of-openshift-4-16-to-4-18": {"rhcos-kernel": "5.14.0-570.el9_6"},
    "kernel-of-openshift-4-19-to-4-21": {"openshift": "4.19.42"},
    "network-operator-26-4-openshift": {"openshift": "4.22.9", "network-operator": "26.4.0"},
    "network-operator-for-openshift-4-21": {"openshift": "4.21.28", "network-operator": "25.7.0"},
    "network-operator-for-openshift-4-22": {"openshift": "4.22.9", "network-operator": "26.4.0"},
    "network-operator-needs-gpu-operator-25-3": {"gpu-operator": "24.9.2"},
    "no-rdma-gpu-operator-26-3-2-network-operator-26-4-0": {
        "gpu-operator": "26.3.2",
        "network-operator": "26.4.0",
    },
    "open-modules-need-kernel-4-15": {"rhcos-kernel": "3.10.0-1160.el7"},
    "openshift-crun-breaks-gpu-pods": {"openshift": "4.18.22"},
    "openshift-driver-toolkit-mismatch": {"openshift": "4.16.58"},
    "openshift-third-party-module-panic": {"openshift": "4.18.25"},
    "peermem-needs-doca-ofed": {"rdma-mode": "nvidia-peermem", "doca-ofed": None},
}
"""Rule -> what must change in r580 for it to be broken (or, without the component, unanswerable).

A sample by hand, with what really ran; test_shipped_rules.py breaks every rule and every row of every table.
"""

WARNINGS = {
    ("b200-4.18-r570", "driver-branch-ended"),
    ("b200-4.21-r580", "network-operator-26-4-1-openshift"),
    ("b200-4.22-r580", "network-operator-26-4-1-openshift"),
    ("h200-4.14-r550", "driver-branch-ended"),
    ("h200-4.15-r550", "driver-branch-ended"),
    ("h200-4.16-r550", "driver-branch-ended"),
    ("h200-4.16-r570", "driver-branch-ended"),
    ("h200-4.17-r570", "driver-branch-ended"),
    ("h200-4.21-r595", "network-operator-26-4-1-openshift"),
    ("h200-4.22-r595", "network-operator-26-4-1-openshift"),
    *(
        (release, rule)
        for release in ("k8s-1.34-r580", "k8s-1.34-r595", "talos-1.13.7", "talos-1.13.8")
        for rule in ("dma-buf-needs-kernel-5-12", "nfd-of-gpu-operator-26-7", "open-modules-need-kernel-4-15")
    ),
}
"""True facts about what ships: release and rule."""


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    return check(matrix_dir()).matrix


def test_validate_finds_nothing_and_what_is_known_of_a_release_is_accepted_with_a_reason() -> None:
    """A team's fresh repository begins without a warning, or nobody would see the first one of its own."""
    assert [str(p) for p in check(matrix_dir()).problems] == []
    releases = (matrix_dir() / "releases").glob("*.yaml")
    accepts = {file.stem: yaml.safe_load(file.read_text()).get("accepts", {}) for file in releases}
    assert {(name, known) for name, said in accepts.items() for known in said} == WARNINGS


def test_the_three_releases_differ_only_in_the_driver(matrix: Matrix) -> None:
    assert {n: r.components["nvidia-driver"] for n, r in matrix.releases.items() if n in DRIVERS} == DRIVERS
    rest = [{k: v for k, v in matrix.releases[n].components.items() if k != "nvidia-driver"} for n in DRIVERS]
    assert rest[0] == rest[1] == rest[2]


def test_nobody_proved_them_here(matrix: Matrix) -> None:
    """Evidence is written by runs, so what ships is at most a rehearsal."""
    assert ReleaseStatus.KNOWN_GOOD not in {r.status for r in matrix.releases.values()}


def test_each_release_names_what_the_machines_run(matrix: Matrix) -> None:
    """Schedulers, storage and the like are a cluster's own choice; these are in every row."""
    of_openshift = {"openshift", "rhcos-kernel"}
    for name, release in matrix.releases.items():
        elsewhere = "kubernetes" in release.components and not of_openshift & release.components.keys()
        needed = set(CORE) - of_openshift - {"sriov-network-operator"} if elsewhere else set(CORE)
        assert needed <= release.components.keys(), name


def test_there_are_rows_from_4_14_to_4_22_and_for_blackwell(matrix: Matrix) -> None:
    rows = {
        (matrix.profiles[p].traits["gpu-arch"], r.components["openshift"].rpartition(".")[0])
        for r in matrix.releases.values()
        if "openshift" in r.components
        for p in r.profiles
    }
    assert {minor for arch, minor in rows if arch == "hopper"} == {f"4.{m}" for m in range(14, 23)}
    assert len({minor for arch, minor in rows if arch == "blackwell"}) >= 4
    assert len(matrix.releases) >= 12


def test_a_row_that_breaks_a_blocking_rule_is_revoked_and_says_why(matrix: Matrix) -> None:
    for release in matrix.releases.values():
        traits = traits_of(matrix.profiles[release.profiles[0]], matrix.clusters["ams-prod"])
        findings = evaluate(matrix.rules.values(), matrix.components, release.components, traits)
        refused = broken(findings, Severity.BLOCK)
        assert bool(refused) == (release.status is ReleaseStatus.REVOKED), release.name
        assert bool(release.reason) == bool(refused)


def test_each_system_says_how_it_is_read_and_undone(matrix: Matrix) -> None:
    for component in matrix.components.values():
        assert component.readings, component.name
        assert component.sources, component.name
        assert component.procedure or component.undo.value != "procedure" or component.judged_only, (
            component.name
        )


def test_what_is_only_read_and_judged_never_moves(matrix: Matrix) -> None:
    only = {n for n, c in matrix.components.items() if c.judged_only}
    assert only == {"cilium", "cuda", "gpu-firmware", "liqo", "onefs", "vgpu-manager"}
    assert not any(matrix.components[n].movable or matrix.components[n].declared_by for n in only)


def test_what_moves_together_says_so_on_both_sides(matrix: Matrix) -> None:
    """One drain for both drivers, one reboot for kernel and OpenShift."""
    pairs = {(n, other) for n, c in matrix.components.items() for other in c.moves_with}
    assert {(b, a) for a, b in pairs} == pairs
    assert {("doca-ofed", "nvidia-driver"), ("openshift", "rhcos-kernel")} <= pairs


OF_DRIVER_PODS = ("doca-ofed", "gds", "gpu-operator-rdma", "kernel-module-type", "nvidia-driver", "rdma-mode")
OPERATORS = (
    *("csm-operator", "gpu-operator", "kueue", "network-operator", "nfd"),
    *("openshift-ai", "openshift-gitops", "quay", "sriov-network-operator"),
)

CHARTS = ("dra-driver", "hami", "kai-scheduler", "run-ai")
OPERANDS = ("dcgm-exporter", "nic-configuration-operator", "powerscale-csi")


def test_what_moves_says_its_class(matrix: Matrix) -> None:
    classes = {n: c.mover.kind for n, c in matrix.components.items() if c.mover and c.movable}
    assert classes == {
        **dict.fromkeys(OF_DRIVER_PODS, "daemon-driver"),
        **dict.fromkeys(OPERATORS, "olm-v0"),
        **dict.fromkeys(CHARTS, "chart"),
        **dict.fromkeys(OPERANDS, "operand"),
        "nic-firmware": "nic-firmware",
        "bios": "redfish",
        "bmc": "redfish",
        "gpu-sharing": "label",
        "mig-config": "label",
        "sriov-vfs": "sriov",
        "openshift": "cluster-version",
        "rhcos-kernel": "machine-config",
        "talos": "talosctl",
    }
    assert len(classes) == 31


@pytest.mark.parametrize("cluster", ["ams-prod", "lab-small"])
@pytest.mark.parametrize(("pinned", "to"), [("r580", "r595"), ("r595", "r610"), ("r610", "r580")])
def test_each_release_can_be_reached_and_left(matrix: Matrix, cluster: str, pinned: str, to: str) -> None:
    at = replace(matrix.clusters[cluster], release=pinned)
    made = plan(replace(matrix, clusters={cluster: at}), cluster, to)
    assert [move.component for hop in made.hops for move in hop.moves] == ["nvidia-driver"]
    assert made.nodes == at.gpu
    pair = ("fabric",) if cluster == "ams-prod" else ()  # its batches are of two nodes
    assert made.active_gates == ("smoke_training", "smoke_inference", *pair)
    assert {*made.not_applicable} == {"fabric"} - {*pair}
    assert made.passive_gates == (
        "gpu_errors",
        "drift",
        "driver_health",
        "operators",
        "mig_layout",
        "time_slicing",
        "rdma_health",
    )
    assert made.warnings == ()


@pytest.mark.parametrize("name", BREAKS)
def test_each_rule_is_kept_by_what_ships_and_can_be_broken(matrix: Matrix, name: str) -> None:
    """A rule that can't fail checks nothing."""
    rule = [matrix.rules[name]]
    shipped = matrix.releases["r580"].components
    assert {f.outcome for f in evaluate(rule, matrix.components, shipped)} <= {Outcome.OK}
    changed = {k: v for k, v in {**shipped, **BREAKS[name]}.items() if v is not None}
    (finding,) = evaluate(rule, matrix.components, changed)
    assert finding.outcome is (Outcome.UNKNOWN if None in BREAKS[name].values() else Outcome.BROKEN)


def test_a_plan_to_a_release_that_breaks_a_rule_names_rule_and_source(matrix: Matrix) -> None:
    bad = replace(matrix.releases["r595"], name="bad", components={**matrix.releases["r595"].components})
    bad = replace(bad, components={**bad.components, "nvidia-driver": "580.178.04"})
    with pytest.raises(
        Refused, match="rule driver-listed-for-operator-26-7, source: NVIDIA/cloud-native-docs"
    ):
        plan(replace(matrix, releases={**matrix.releases, "bad": bad}), "ams-prod", "bad")


def test_no_figure_of_an_nvswitch_machine_reaches_a_pcie_one(matrix: Matrix) -> None:
    pcie, hgx = matrix.profiles["xe7740-h200nvl"], matrix.profiles["hgx-h200"]
    assert (pcie.nvswitch, hgx.nvswitch) == (False, True)
    assert pcie.gpu_pci_id != hgx.gpu_pci_id
    assert all("source" in gate for profile in (pcie, hgx) for gate in profile.gates.values())


def test_each_gate_has_a_suite_that_reads_its_parameters(matrix: Matrix) -> None:
    """A threshold that nothing reads would be a false promise."""
    package = Path(verdicts.__file__).parent
    payloads = Path(probe.__file__).parent  # some parameters say what to measure, not what is enough
    shared = "".join(path.read_text() for path in (*package.glob("*.py"), *payloads.rglob("*.py")))
    for profile in matrix.profiles.values():
        for gate, parameters in profile.gates.items():
            text = (gates_dir() / f"{gate}.py").read_text() + shared
            own = set(parameters) - {
                "kind",
                "backend",
                "needs",
                "source",
                "withinDays",
                "failsAtOnce",
                "minutes",
                "components",
            }  # the rest is for a runner
            assert {name for name in own if f'"{name}"' not in text} == set(), gate


@pytest.mark.parametrize("kind", ["component", "release", "rule", "profile", "cluster", "evidence"])
def test_schemas_are_schemas(kind: str) -> None:
    schema = validator(kind)
    schema.check_schema(schema.schema)


def test_the_gates_that_heed_a_waiver_are_known() -> None:
    """A waiver of another one would be taken and waive nothing."""
    asked = re.compile(r"judge\.(unwaived|waived_out)\b|rdma_waived\.")
    heeding = {file.stem for file in gates_dir().glob("*.py") if asked.search(file.read_text())}
    assert heeding == HEEDING


def test_who_declares_a_driver_once_for_all_nodes_is_told_why_rings_are_no_hop(matrix: Matrix) -> None:
    """By the cluster's own declaration; what the plan then says points to a page that is there."""
    once = plan(matrix, "fra-prod", "h200-4.18-r580")
    (told,) = [text for hop in once.hops for text in hop.to_rings]
    assert told.startswith("nvidia-driver: no hop. ")
    assert (Path(__file__).parents[3] / told.rpartition(" ")[2]).is_file()
    assert f"one object a ring instead? {told}" in plan_text(once)
    assert not any(hop.to_rings for hop in plan(matrix, "ams-prod", "r595").hops), "it has rings"


def test_firmware_that_comes_with_a_boot_is_judged_by_the_drivers_that_the_boot_loads(matrix: Matrix) -> None:
    """Or the ports' fall with the NIC driver's load would be taken for one of theirs."""
    made = plan(matrix, "lab-firmware", "r580-newer-firmware")
    assert [move.component for hop in made.hops for move in hop.moves] == ["bios", "bmc"]
    assert {"bios", "bmc", "doca-ofed", "nvidia-driver"} <= made.movers.keys()


def test_a_node_is_asked_only_of_the_uplink_that_its_hop_would_take_down(matrix: Matrix) -> None:
    """By other drivers it is only read: who could tell of their uplinks may not even be there."""
    made = plan(matrix, "lab-firmware", "r580-newer-firmware")
    assert made.movers["doca-ofed"].guards, "or the rest shows nothing"
    (ring, *_) = made.hops[0].rings
    claimed = made.claiming(ring)
    assert claimed.keys() == made.movers.keys(), "their marks are in the snapshot all the same"
    assert not any(spec.guards for spec in claimed.values())
    coupled = plan(matrix, "lab-rdma", "r595")
    (ring, *_) = coupled.hops[0].rings
    assert coupled.claiming(ring)["doca-ofed"].guards == coupled.movers["doca-ofed"].guards != ()


@pytest.mark.parametrize(
    "file",
    [
        "components/nvidia-driver.yaml",
        "rules/driver-branch-ended.yaml",
        "profiles/hgx-b200.yaml",
        "releases/r580.yaml",
        "clusters/ams-prod.yaml",
    ],
)
def test_what_is_wrong_in_one_file_is_told_of_that_file_alone(tmp_path: Path, file: str) -> None:
    """Whoever mends what follows from it would spoil what was right."""
    folder = tmp_path / "matrix"
    shutil.copytree(matrix_dir(), folder)
    with (folder / file).open("a", encoding="utf-8") as text:
        text.write("\nnot-a-field: 1\n")
    told = [(p.rule, p.where.file) for p in check(folder).problems]
    assert [where.endswith(file) for _, where in told] == [True], told
