"""Rules about edges and about hardware, broken on values: a small matrix, one thing changed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.planner.matrices import MOVER

from knowngood.matrix import build, documents
from knowngood.matrix.lint import Context, problems
from knowngood.matrix.lint.registry import known_are
from knowngood.matrix.load import check
from knowngood.model.errors import Location, Problem
from knowngood.model.graph import Bundle, Catalog, Edges, Version
from knowngood.model.matrix import Matrix, Rule

BASE = Path(__file__).parents[2] / "examples" / "base"
FOUND = documents.read(BASE)
MATRIX = build.matrix(FOUND)
HERE = Location("edges.yaml", 1, 1)


def lint(matrix: Matrix) -> list[Problem]:
    return list(problems(Context(FOUND, matrix, datetime(2026, 8, 22, tzinfo=UTC))))


def with_edges(edges: Edges) -> list[str]:
    return [p.rule for p in lint(replace(MATRIX, edges={edges.component: edges}))]


def graph(**previous: str) -> Edges:
    """`v4_18_2="4.18.1 4.18.0"`: 4.18.2 may follow these."""
    versions = {
        name[1:].replace("_", "."): Version(name[1:].replace("_", "."), previous=frozenset(before.split()))
        for name, before in previous.items()
    }
    return Edges("openshift", versions)


def test_a_graph_that_goes_forward_is_clean() -> None:
    assert with_edges(graph(v4_18_0="", v4_18_1="4.18.0", v4_18_2="4.18.0 4.18.1")) == []


@pytest.mark.parametrize(
    ("edges", "count"),
    [
        (graph(v4_18_1="4.18.1"), 1),
        (graph(v4_18_0="4.18.2", v4_18_1="4.18.0", v4_18_2="4.18.1", v4_18_3="4.18.2"), 3),
    ],
    ids=["to itself", "in a circle"],
)
def test_a_graph_with_a_circle_is_named(edges: Edges, count: int) -> None:
    assert with_edges(edges) == ["KG129"] * count


def catalog(*bundles: Bundle) -> Edges:
    found = Catalog("4.18", "stable", {"stable": bundles}, (), HERE)
    return Edges("gpu-operator", catalogs={"4.18": found})


def test_a_channel_with_a_circle_is_named() -> None:
    assert with_edges(catalog(Bundle("26.7.0", "26.3.0"), Bundle("26.3.0", "26.7.0"))) == ["KG129"] * 2


def test_a_catalog_that_replaces_what_is_gone_is_clean() -> None:
    """Catalogs are pruned; the oldest entry names what it once replaced."""
    assert with_edges(catalog(Bundle("26.7.0", "26.3.0"), Bundle("26.3.0", "25.10.0"))) == []


def test_a_release_of_a_version_that_nobody_published_is_a_warning() -> None:
    edges = replace(graph(v4_18_0="", v4_18_53=""), graph=True)
    (problem,) = lint(replace(MATRIX, edges={"openshift": edges}))
    assert (problem.rule, problem.severity) == ("KG211", "warning")
    assert problem.where.file.endswith("releases/old.yaml")


def needs(traits: dict[str, tuple[str, ...]]) -> Rule:
    """A rule that the base's release breaks, on some hardware."""
    rule = next(iter(MATRIX.rules.values()))
    return replace(rule, name="r", when={}, require={"nvidia-driver": "610.x"}, traits=traits)


def on(traits: dict[str, str], rule: Rule) -> list[Problem]:
    cluster = replace(MATRIX.clusters["lab"], traits=traits)
    return lint(replace(MATRIX, clusters={"lab": cluster}, rules={"r": rule}))


def test_a_rule_of_some_clusters_is_broken_on_these() -> None:
    rule = needs({"platform": ("baremetal",)})
    (problem,) = on({"platform": "baremetal"}, rule)
    assert (problem.rule, problem.where.file.split("/")[-1]) == ("KG417", "lab.yaml")
    assert on({"platform": "vsphere"}, rule) == []


def test_a_trait_that_nobody_says_is_a_warning() -> None:
    (problem,) = on({}, needs({"platform": ("baremetal",)}))
    assert (problem.rule, problem.severity) == ("KG418", "warning")
    assert "platform" in problem.hint


def test_what_the_release_breaks_everywhere_is_said_once() -> None:
    assert [p.rule for p in on({}, needs({}))] == ["KG204"]


def test_a_rule_of_some_hardware_names_the_profile() -> None:
    """`known-good` holds for a profile, never for the world."""
    other = {n: replace(MATRIX.profiles["pcie"], name=n, traits={"gpu-arch": n}) for n in ("pcie", "hgx")}
    document = FOUND.by_kind["releases"]["old"]
    value = {**document.value, "profiles": ["pcie", "hgx"]}
    changed = documents.Documents(
        BASE, {**FOUND.by_kind, "releases": {"old": replace(document, value=value)}}
    )
    matrix = replace(
        MATRIX, profiles={**MATRIX.profiles, **other}, rules={"r": needs({"gpu-arch": ("hgx",)})}
    )
    found = problems(Context(changed, matrix, datetime(2026, 8, 22, tzinfo=UTC)))
    (problem,) = (p for p in found if p.rule == "KG204")
    assert problem.message.endswith(" on hgx")


def test_a_cluster_in_no_stage_is_a_warning(tmp_path: Path) -> None:
    """One that is left behind in silence is found out when the others have moved."""
    base = shutil.copytree(BASE, tmp_path / "matrix")
    second = (base / "clusters/lab.yaml").read_text()
    (base / "clusters/other.yaml").write_text(second)
    (base / "fleet.yaml").write_text("stages:\n  - {name: all, clusters: [lab]}\n")
    (problem,) = check(base).problems
    assert (problem.rule, problem.severity, problem.message) == ("KG432", "warning", "other is in no stage")


def test_what_is_declared_in_a_field_that_its_mover_does_not_know_is_a_warning() -> None:
    """Nobody would know until the first upgrade that moves it is refused."""
    knows = replace(MOVER, fields={"NVIDIADriver": {"spec.version": "{version}"}})
    other = replace(MOVER, fields={"Thing": {"spec.thing": "{version}", "spec.image": "i"}})
    driver = MATRIX.components["nvidia-driver"]
    assert (
        lint(replace(MATRIX, components={**MATRIX.components, driver.name: replace(driver, mover=knows)}))
        == []
    )
    strange = replace(driver, mover=other)
    (problem,) = lint(replace(MATRIX, components={**MATRIX.components, driver.name: strange}))
    assert (problem.rule, problem.severity) == ("KG425", "warning")
    assert (
        "its mover does not know NVIDIADriver spec.version in clusters/lab/driver-{ring}.yaml"
        in problem.message
    )
    assert problem.hint == "declare it by Thing spec.thing with spec.image"


def test_who_mistypes_a_name_is_told_which_was_meant() -> None:
    assert (
        known_are({"gpu-operator", "nfd"}, "gpu-oprator")
        == "did you mean gpu-operator? known are gpu-operator, nfd"
    )
    assert known_are({"nfd"}, "gpu-oprator") == "known are nfd"
    assert known_are((), "x") == "known are none"


def test_hardware_that_is_newer_than_this_program_is_known_where_a_rule_and_a_profile_name_it(
    tmp_path: Path,
) -> None:
    base = shutil.copytree(BASE, tmp_path / "matrix")
    profile = (base / "profiles" / "pcie.yaml").read_text().replace("gpu-arch: hopper", "gpu-arch: rubin")
    (base / "profiles" / "next.yaml").write_text(profile)
    (problem,) = check(base).problems
    assert (problem.rule, problem.severity) == ("KG303", "warning")
    assert "known are ada" in problem.hint
    about = (base / "rules" / "prefer-lts.yaml").read_text() + "traits: {gpu-arch: [rubin]}\n"
    (base / "rules" / "next.yaml").write_text(about)
    assert check(base).problems == ()


def test_firmware_that_is_declared_has_who_flashes_it_and_a_way_back(tmp_path: Path) -> None:
    base = shutil.copytree(BASE, tmp_path / "matrix")
    example = BASE.parent / "positive" / "component" / "mover-of-firmware.yaml"
    shutil.copy(example, base / "components" / "bios.yaml")
    lab, release = base / "clusters/lab.yaml", base / "releases/old.yaml"
    release.write_text(release.read_text().replace("components:\n", "components:\n  bios: 2.6.3\n", 1))
    declared = (
        "declare:\n  bios:\n    file: clusters/lab/firmware-{ring}.yaml\n    path: data.bios\n"
        '    object: {apiVersion: v1, kind: ConfigMap, name: "firmware-{ring}", namespace: nvidia-gpu-operator}\n'
    )
    text = lab.read_text().replace("declare:\n", declared, 1)
    at = "https://{node}-bmc.example.com"
    image = f'{{url: "https://mirror.example.com/bios.exe", sha256: {"0" * 64}}}'

    def said(credentials: str, images: str) -> list[tuple[str, str]]:
        more = f'bmcs: {{at: "{at}", credentials: "{credentials}", images: {{bios: {images}}}}}\n'
        lab.write_text(text + (more if credentials else ""))
        return [(p.rule, p.message) for p in check(base).problems]

    assert said("file:/run/secrets/bmc", f"{{2.6.3: {image}}}") == []
    (nobody,) = said("", "")
    assert nobody == ("KG434", "bios is declared, and no bmcs say who flashes it")
    (of_ours,) = said("env:BMC", f"{{2.6.3: {image}}}")
    assert "gets no variables of ours" in of_ours[1]
    (no_way_back,) = said("file:/run/secrets/bmc", f"{{2.7.4: {image}}}")
    assert "no image of bios 2.6.3 is named" in no_way_back[1]
