"""Loading ends in values, or in every problem at once."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from knowngood.matrix.load import check, load
from knowngood.matrix.yaml_text import MAX_BYTES
from knowngood.model.errors import DataError, ExitCode, UsageError
from knowngood.model.matrix import Limits, ReleaseStatus, Severity

NEXT_DAY = datetime(2026, 8, 23, tzinfo=UTC)
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return shutil.copytree(EXAMPLES / "base", tmp_path / "matrix")


def rules_of(path: Path) -> list[str]:
    return [p.rule for p in check(path, now=NEXT_DAY).problems]


def evidence(base: Path, release: str, run: str, **changes: object) -> Path:
    value = {
        "run": run,
        "cluster": "lab",
        "release": release,
        "versions": {"nvidia-driver": "580.173.02"},
        "status": "known-good",
        "because": "every gate passed on the pinned cluster",
        "time": "2026-08-22T03:00:00Z",
        **changes,
    }
    path = base / "evidence" / "lab" / f"{release}-{run}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path


def test_files_become_values(base: Path) -> None:
    matrix = load(base, commit="c0ffee", dirty=True)
    assert (matrix.commit, matrix.dirty) == ("c0ffee", True)
    assert matrix.releases["old"].components["nvidia-driver"] == "580.173.02"
    assert matrix.releases["old"].status is ReleaseStatus.CANDIDATE
    assert matrix.rules["prefer-lts"].severity is Severity.WARN
    assert matrix.profiles["pcie"].gates["smoke"] == {
        "kind": "active",
        "backend": "cuda",
        "steps": 20,
        "ratio": 0.9,
    }


def test_a_cluster_keeps_its_raw_values_typed(base: Path) -> None:
    cluster = load(base).clusters["lab"]
    assert cluster.rings[0].nodes == ("gpu-1",)
    assert cluster.virtual == ("liqo-1",)
    assert cluster.tenants[0].eviction_deadline == 600.0
    assert cluster.limits == Limits()
    assert cluster.declaration("nvidia-driver").scope == "node"
    assert cluster.raw["rings"][0] == {"name": "ring-0", "nodes": ["gpu-1"], "batch": 1}


def test_limits_are_read_by_their_own_names(base: Path) -> None:
    shutil.copy(EXAMPLES / "positive/cluster/all-keys.yaml", base / "clusters/all-keys.yaml")
    cluster = load(base).clusters["all-keys"]
    assert (cluster.limits.lease, cluster.limits.operand_age, cluster.limits.soak) == (15.0, 900.0, 0.25)
    assert (cluster.on_wave_failure, cluster.operator_namespace) == ("undo", "gpu-operator")
    assert cluster.namespace_of("network-operator") == "network-operator"
    assert cluster.namespace_of("") == cluster.namespace_of("gpu-operator") == "gpu-operator"
    assert cluster.identity is not None
    assert cluster.window_end == "2026-08-22T06:00:00+02:00"


def test_a_cluster_file_may_be_json(base: Path) -> None:
    """A rehearsal writes its own cluster file; JSON is YAML."""
    cluster = load(base).clusters["lab"]
    (base / "clusters/lab.yaml").write_text(json.dumps(dict(cluster.raw), indent=2))
    assert load(base).clusters["lab"].raw == cluster.raw


def test_a_release_knows_the_line_of_each_version(base: Path) -> None:
    lines = (base / "releases/old.yaml").read_text().splitlines()
    release = load(base).releases["old"]
    assert {lines[n - 1].split(":")[0].strip() for n in release.lines.values()} == set(release.components)


def test_all_problems_come_at_once_sorted_by_place(base: Path) -> None:
    for kind, folder in (("cluster", "clusters"), ("release", "releases")):
        shutil.copytree(EXAMPLES / "negative" / kind, base / folder, dirs_exist_ok=True)
    with pytest.raises(DataError) as caught:
        load(base)
    problems = caught.value.problems
    assert len(problems) > 50
    assert all(p.severity == "error" for p in problems)
    places = [(p.where.file, p.where.line or 0) for p in problems]
    assert places == sorted(places)
    assert "more)" in caught.value.message
    assert caught.value.exit_code is ExitCode.USAGE


def test_a_warning_does_not_refuse(base: Path) -> None:
    shutil.copy(EXAMPLES / "negative/release/breaks-a-warning-rule.yaml", base / "releases/new.yaml")
    assert [p.rule for p in check(base).warnings] == ["KG205"]
    assert "new" in load(base).releases


def test_a_name_that_stands_in_a_broken_file_is_known(base: Path) -> None:
    """One mistake is one problem, not one for each file that refers to it."""
    (base / "components/openshift.yaml").write_text("title: [\n")
    (base / "profiles/pcie.yaml").write_text("product: 1\nproduct: 2\n")
    assert set(rules_of(base)) <= {"KG001", "KG002"}


def test_a_missing_folder_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such matrix folder"):
        load(tmp_path / "nowhere")


def test_an_empty_folder_is_no_matrix(tmp_path: Path) -> None:
    assert rules_of(tmp_path) == ["KG005"] * 3


def test_strangers_in_the_data_folders_are_named(base: Path) -> None:
    (base / "releases/new.yml").write_text("status: candidate\n")
    (base / "clusters/old").mkdir()
    (base / "clusters/.swp").write_text("an editor's")
    assert rules_of(base) == ["KG003", "KG003"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a" * (MAX_BYTES + 1), "larger than 1024 KiB"),
        (b"status: \xff\n", "not UTF-8 text (byte 8)"),
        (b"", "empty"),
        (b"a: [" * 1000, "nested deeper"),
    ],
)
def test_a_hostile_file_is_one_clear_problem(base: Path, content: bytes, words: str) -> None:
    (base / "releases/new.yaml").write_bytes(content)
    (problem,) = check(base).problems
    assert words in problem.message
    assert problem.where.file.endswith("releases/new.yaml")


def test_a_file_that_can_not_be_read_is_a_problem(base: Path) -> None:
    (base / "releases/new.yaml").mkdir()
    assert rules_of(base) == ["KG003"]


def test_a_folder_of_edges_belongs_to_a_component(base: Path) -> None:
    (base / "edges/openshift").rename(base / "edges/openshit")
    assert "KG120" in rules_of(base)


def test_evidence_makes_known_good(base: Path) -> None:
    release = base / "releases/old.yaml"
    release.write_text(release.read_text().replace("candidate", "known-good"))
    assert rules_of(base) == ["KG502"]
    evidence(base, "old", "r20260822-031500-7f3a", status="rehearsed")
    assert rules_of(base) == ["KG502"]
    evidence(base, "old", "r20260823-031500-7f3a")
    assert rules_of(base) == []


def test_evidence_that_was_moved_proves_nothing(base: Path) -> None:
    path = evidence(base, "old", "r1")
    path.rename(path.with_name("old-r2.json"))
    assert rules_of(base) == ["KG501"]


def test_evidence_about_a_deleted_release_is_a_problem(base: Path) -> None:
    evidence(base, "older", "r1")
    assert rules_of(base) == ["KG501"]


def test_broken_evidence_is_a_problem_with_its_line(base: Path) -> None:
    path = evidence(base, "old", "r1", status="perfect")
    assert rules_of(base) == ["KG002"]
    path.write_text("{\n  oops\n}")
    (problem,) = check(base).problems
    assert (problem.where.line, problem.rule) == (2, "KG001")


@pytest.mark.parametrize(
    ("traits", "found"),
    [
        ("{gpu-arch: blackwell}", ["KG204"]),
        ("{gpu-arch: hopper}", []),
        ("", ["KG206"]),
    ],
)
def test_a_rule_about_hardware_judges_a_release_on_the_profiles_that_have_it(
    base: Path, traits: str, found: list[str]
) -> None:
    """A profile that does not say what it is hides no rule: that is a warning."""
    profile = base / "profiles" / "pcie.yaml"
    text = re.sub(r"(?m)^traits:.*\n", f"traits: {traits}\n" if traits else "", profile.read_text())
    profile.write_text(text)
    (base / "rules" / "blackwell.yaml").write_text(
        "severity: block\nwhen: {}\ntraits: {gpu-arch: [blackwell]}\n"
        'require: {nvidia-driver: ">=600"}\nmessage: too old\nsources: [{ref: vendor page 7}]\n'
    )
    assert rules_of(base) == found


def test_what_only_a_cluster_can_tell_is_no_releases_fault(base: Path) -> None:
    (base / "rules" / "bare-metal.yaml").write_text(
        "severity: block\nwhen: {}\ntraits: {infrastructure: [bare-metal]}\n"
        'require: {nvidia-driver: ">=600"}\nmessage: too old\nsources: [{ref: vendor page 7}]\n'
    )
    assert rules_of(base) == ["KG418"], "the cluster's file is asked to say it"
