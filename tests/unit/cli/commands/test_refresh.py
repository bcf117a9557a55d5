"""refresh: small synthetic checkouts in upstream's layouts, and what becomes of our files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import git
import pytest
import yaml
from tests.unit.cli.called import Said, knowngood

from knowngood.matrix import build, documents, refresh
from knowngood.matrix.load import check
from knowngood.matrix.locate import matrix_dir

BASE = Path(__file__).parents[3] / "examples" / "base"
PROMQL = [{"type": "PromQL", "promql": {"promql": "group(\n  up\n)"}}]
ALWAYS = [{"type": "Always"}]


@pytest.fixture
def matrix(tmp_path: Path) -> Path:
    """The small matrix of the examples, in the form that refresh writes."""
    folder = shutil.copytree(BASE, tmp_path / "matrix")
    upstream = checkout(tmp_path / "first")
    assert (
        knowngood(
            "refresh", "--matrix", folder, "--component", "openshift", "--from", upstream, "--write"
        ).code
        == 0
    )
    assert check(folder).problems == ()
    return folder


def checkout(
    folder: Path, channels: Mapping[str, list[str]] | None = None, *declared: Mapping[str, Any]
) -> Path:
    """A checkout of the graph-data repository: by default what the small matrix holds."""
    stable = ["4.17.1", "4.17.2", "4.17.3", "4.18.1", "4.18.2"]
    for name, versions in (channels or {"stable-4.18": stable}).items():
        write(
            folder / "channels" / f"{name}.yaml",
            {"feeder": {"delay": "P1W"}, "name": name, "versions": versions},
        )
    default = [risk(to=to, url="https://example.com/1", matchingRules=ALWAYS) for to in ("4.18.1", "4.18.2")]
    for each in declared or default:
        write(folder / "blocked-edges" / f"{each['to']}-{each['name']}.yaml", dict(each))
    return folder


def risk(**changed: Any) -> dict[str, Any]:
    value = {"to": "4.18.2", "from": "^4[.]17[.].*", "url": "https://example.com/2", "name": "NodesStop"}
    return {**value, "message": "Nodes\nstop.", "matchingRules": PROMQL, **changed}


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(value, sort_keys=False))


def refreshed(matrix: Path, source: Path, *more: str, component: str = "openshift") -> Said:
    return knowngood("refresh", "--matrix", matrix, "--component", component, "--from", source, *more)


def files(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_the_same_data_makes_no_difference(matrix: Path, tmp_path: Path) -> None:
    said = refreshed(matrix, checkout(tmp_path / "up"))
    assert (said.code, said.out) == (0, "")
    assert "`previous`" in said.err


def test_a_difference_is_exit_1_shown_and_not_written(matrix: Path, tmp_path: Path) -> None:
    before = files(matrix)
    said = refreshed(matrix, checkout(tmp_path / "up", {"stable-4.18": ["4.18.1"]}))
    assert said.code == 1
    assert "-  stable-4.18: 4.17.1..4.17.3 4.18.1 4.18.2\n+  stable-4.18: 4.18.1\n" in said.out
    assert said.out.startswith("--- ")
    assert files(matrix) == before


def test_a_new_version_is_known_by_name_and_opens_no_update(matrix: Path, tmp_path: Path) -> None:
    up = checkout(
        tmp_path / "up", {"stable-4.18": ["4.17.1", "4.18.0", "4.18.1"], "candidate-4.19": ["4.19.0-ec.1"]}
    )
    said = refreshed(matrix, up, "--write")
    assert "2 new versions are known by name only: 4.18.0, 4.19.0-ec.1" in said.err
    edges = check(matrix).matrix.edges["openshift"]
    checked = check(matrix)
    assert checked.errors == ()
    assert {p.rule for p in checked.warnings} == {"KG211"}, (
        "the base's releases are of versions that are not there"
    )
    assert edges.versions["4.18.0"].previous == frozenset()
    assert edges.versions["4.18.2"].previous == {"4.17.2", "4.18.1"}, (
        "an old list does not take in the new one"
    )
    assert edges.channels["candidate-4.19"] == ("4.19.0-ec.1",)


def test_what_people_wrote_about_a_risk_is_kept(matrix: Path, tmp_path: Path) -> None:
    moved = risk(url="https://example.com/new", fixedIn="4.18.3")
    assert refreshed(matrix, checkout(tmp_path / "up", None, moved), "--write").code == 0
    found = check(matrix).matrix.edges["openshift"].risks["NodesStop"]
    assert (found.gist, found.gpu) == ("nodes stop", "high")
    assert (found.url, found.always, found.fixed_in) == ("https://example.com/new", False, ("4.18.3",))
    assert dict(found.targets) == {"4.18.2": "^4[.]17[.].*"}


def test_a_new_risk_waits_for_a_judgement_and_a_gone_one_stays(matrix: Path, tmp_path: Path) -> None:
    said = refreshed(matrix, checkout(tmp_path / "up", None, risk(name="PodsFail", to="4.18.1")), "--write")
    assert "write gist and gpu of the new risks: PodsFail" in said.err
    assert "no longer declared upstream, kept here: NodesStop" in said.err
    checked = check(matrix)
    assert set(checked.matrix.edges["openshift"].risks) == {"NodesStop", "PodsFail"}
    assert [(p.severity, p.message) for p in checked.problems] == [("warning", "PodsFail is not judged yet")]
    assert "promql" not in "".join(files(matrix).values()).lower()


def test_a_new_declaration_has_the_day_of_its_commit(matrix: Path, tmp_path: Path) -> None:
    """The day on which it became known: `exposure` counts from it. One that we have already gets none."""
    up = checkout(tmp_path / "up")
    repo = git.Repo.init(up)
    commit(repo, "2026-01-05")
    write(up / "blocked-edges" / "4.18.1-PodsFail.yaml", risk(name="PodsFail", to="4.18.1"))
    commit(repo, "2026-02-07")
    write(up / "blocked-edges" / "4.18.1-PodsFail.yaml", risk(name="PodsFail", to="4.18.1", fixedIn="4.18.2"))
    commit(repo, "2026-03-09")
    assert refreshed(matrix, up, "--write").code == 0
    risks = check(matrix).matrix.edges["openshift"].risks
    assert dict(risks["PodsFail"].declared) == {"4.18.1": "2026-02-07"}
    assert not risks["NodesStop"].declared


def test_a_shallow_clone_tells_no_day(matrix: Path, tmp_path: Path) -> None:
    """Its oldest commit has every file, whenever that came."""
    up = checkout(tmp_path / "up")
    repo = git.Repo.init(up)
    commit(repo, "2026-01-05")
    write(up / "blocked-edges" / "4.18.1-PodsFail.yaml", risk(name="PodsFail", to="4.18.1"))
    commit(repo, "2026-02-07")
    write(up / "README", "x")
    commit(repo, "2026-03-09")
    git.Repo.clone_from(f"file://{up}", tmp_path / "shallow", depth=1)
    assert refreshed(matrix, tmp_path / "shallow", "--write").code == 0
    assert not check(matrix).matrix.edges["openshift"].risks["PodsFail"].declared


def commit(repo: git.Repo, day: str) -> None:
    repo.git.add(all=True)
    who = ("-c", "user.name=x", "-c", "user.email=x@example.com")
    with repo.git.custom_environment(GIT_COMMITTER_DATE=f"{day}T12:00:00Z"):
        repo.git.execute(["git", *who, "commit", "-qm", "x", f"--date={day}T12:00:00Z"])


def test_only_a_file_that_changed_names_the_checkouts_commit(matrix: Path, tmp_path: Path) -> None:
    channels_file, risk_file = (
        matrix / "edges/openshift/channels.yaml",
        matrix / "edges/openshift/risks/NodesStop.yaml",
    )
    for file in (channels_file, risk_file):
        old = "openshift/cincinnati-graph-data@0000000 " + (
            "channels/" if file == channels_file else "blocked-edges/"
        )
        file.write_text(file.read_text().replace('"vendor page 7"', f'"{old}"'))
    up = checkout(tmp_path / "up", {"stable-4.18": ["4.18.1"]})
    repository = git.Repo.init(up)
    repository.git.add(".")
    identity = {f"GIT_{who}_{what}": "a@b" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    with repository.git.custom_environment(**identity):
        repository.git.commit("-qm", "graph")
    refreshed(matrix, up, "--write")
    assert repository.head.commit.hexsha[:7] in channels_file.read_text()
    assert "@0000000 blocked-edges/" in risk_file.read_text()


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("channels/stable-4.18.yaml", {"name": "stable-4.18"}, "`versions` must be a list"),
        ("channels/stable-4.18.yaml", {"versions": ["4.18.1", "latest"]}, "'latest' is no OpenShift version"),
        ("channels/stable-4.18.yaml", {"versions": [["4.18.1"]]}, "is no OpenShift version"),
        ("channels/stable-4.18.yaml", ["4.18.1"], "keys and values are expected"),
        ("blocked-edges/4.18.2-NodesStop.yaml", risk(to="4.18"), "'4.18' is no OpenShift version"),
        ("blocked-edges/4.18.2-NodesStop.yaml", risk(name="../../etc"), "is no risk's name"),
        ("blocked-edges/4.18.2-NodesStop.yaml", risk(**{"from": "(a+)+$"}), "after a group"),
        ("blocked-edges/4.18.2-NodesStop.yaml", risk(url="http://x"), "no https url"),
        ("blocked-edges/4.18.2-NodesStop.yaml", risk(matchingRules=[]), "no matchingRules"),
        ("blocked-edges/4.18.2-NodesStop.yaml", {"to": "4.18.2"}, "the key 'name' is missing"),
        (
            "blocked-edges/4.18.1-NodesStop.yaml",
            risk(to="4.18.1", matchingRules=PROMQL),
            "on some edges and not",
        ),
    ],
)
def test_a_wrong_file_is_exit_2_with_its_name_and_nothing_is_written(
    matrix: Path, tmp_path: Path, name: str, value: Any, words: str
) -> None:
    up, before = checkout(tmp_path / "up"), files(matrix)
    write(up / name, value)
    said = refreshed(matrix, up, "--write")
    assert (said.code, said.out) == (2, "")
    assert Path(name).name in said.err
    assert words in said.err
    assert files(matrix) == before


def test_older_minors_and_other_channels_are_left_out(matrix: Path, tmp_path: Path) -> None:
    up = checkout(tmp_path / "up")
    write(up / "channels/stable-4.5.yaml", {"versions": "whatever"})
    write(up / "channels/nightly.yaml", {"versions": "whatever"})
    write(up / "blocked-edges/4.5.1-Old.yaml", risk(to="4.5.1", name="Old"))
    assert refreshed(matrix, up).code == 0


def test_a_folder_that_is_no_checkout_and_a_component_without_edges_are_exit_2(
    matrix: Path, tmp_path: Path
) -> None:
    assert "no checkout of the graph-data repository" in refreshed(matrix, tmp_path).err
    assert "known: gpu-operator, openshift" in refreshed(matrix, tmp_path, component="rdma-mode").err


def test_broken_files_of_ours_are_not_rewritten(matrix: Path, tmp_path: Path) -> None:
    file = matrix / "edges" / "openshift" / "channels.yaml"
    file.write_text(file.read_text().replace("4.17.1..4.17.3", "4.17.1..4.17.9"))
    said = refreshed(matrix, checkout(tmp_path / "up"), "--write")
    assert said.code == 2
    assert "4.17.9" in said.err


# Catalogs


def blobs(*entries: Mapping[str, Any], package: str = "gpu-operator-certified") -> list[dict[str, Any]]:
    bundles = [
        {
            "schema": "olm.bundle",
            "name": e["name"],
            "package": package,
            "properties": [
                {
                    "type": "olm.package",
                    "value": {"packageName": package, "version": e["name"].partition(".v")[2]},
                }
            ],
        }
        for e in entries
    ]
    return [
        {"schema": "olm.package", "name": package, "defaultChannel": "stable"},
        {"schema": "olm.channel", "package": package, "name": "stable", "entries": list(entries)},
        {"schema": "olm.channel", "package": "another", "name": "stable", "entries": "whatever"},
        *bundles,
    ]


OLD = {"name": "gpu-operator-certified.v25.3.1"}
NEW = {
    "name": "gpu-operator-certified.v26.7.0",
    "replaces": "gpu-operator-certified.v25.3.1",
    "skips": ["gpu-operator-certified.v25.3.0"],
    "skipRange": ">=v1.9.0 <v26.7.0",
}
NEWEST = {"name": "gpu-operator-certified.v26.7.1", "replaces": "gpu-operator-certified.v26.7.0"}


@pytest.mark.parametrize("kind", ["yaml", "json"])
def test_a_catalog_in_a_checkout_takes_the_place_of_its_minors(
    matrix: Path, tmp_path: Path, kind: str
) -> None:
    file = tmp_path / "up" / "catalogs" / "v4.18" / "gpu-operator-certified" / f"catalog.{kind}"
    file.parent.mkdir(parents=True)
    found = blobs(OLD, NEW, NEWEST)
    file.write_text(yaml.safe_dump_all(found) if kind == "yaml" else "\n".join(json.dumps(b) for b in found))
    said = refreshed(matrix, tmp_path / "up", "--write", component="gpu-operator")
    assert said.code == 0
    edges = check(matrix).matrix.edges["gpu-operator"]
    assert check(matrix).problems == ()
    (old, new, newest) = edges.catalogs["4.18"].channels["stable"]
    assert (old.replaces, new.replaces, new.skips, new.skip_range) == (
        "",
        "25.3.1",
        ("25.3.0",),
        ">=1.9.0 <26.7.0",
    )
    assert (newest.version, newest.replaces) == ("26.7.1", "26.7.0")
    assert [b.version for b in edges.catalogs["4.17"].channels["stable"]] == ["25.3.0", "25.3.1", "26.7.0"]
    assert refreshed(matrix, tmp_path / "up", component="gpu-operator").code == 0


def test_one_catalog_file_needs_its_minor(matrix: Path, tmp_path: Path) -> None:
    file = tmp_path / "catalog.json"
    file.write_text("".join(json.dumps(b) for b in blobs(OLD, NEW)))
    assert "which OpenShift minor" in refreshed(matrix, file, component="gpu-operator").err
    assert refreshed(matrix, file, "--openshift", "4.19", "--write", component="gpu-operator").code == 0
    assert set(check(matrix).matrix.edges["gpu-operator"].catalogs) == {"4.17", "4.18", "4.19"}


def test_a_bundle_that_the_scheme_cannot_hold_is_left_out_and_named(matrix: Path, tmp_path: Path) -> None:
    file = tmp_path / "catalog.json"
    file.write_text("".join(json.dumps(b) for b in blobs(OLD, {"name": "gpu-operator-certified.v26.7.0-1"})))
    said = refreshed(matrix, file, "--openshift", "4.18", "--write", component="gpu-operator")
    assert "left out, because the scheme is numeric: 26.7.0-1" in said.err
    assert check(matrix).problems == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not valid JSON"),
        ("a: [", "not valid YAML"),
        ("just text", "a blob must hold keys and values"),
        ("base: &a {x: 1}\nother: {<<: *a}\n", "merge keys are not allowed"),
        (json.dumps(blobs(OLD, package="other")[0]), "no package gpu-operator-certified; there are other"),
        (json.dumps(blobs(OLD)[0]), "has no channels"),
        ("[" * 100_000, "not valid JSON"),
        ("".join(json.dumps(b) for b in blobs({**NEW, "skipRange": ">=1,<2"})), "skipRange"),
        ("".join(json.dumps(b) for b in blobs({**NEW, "skips": "25.3.0"})), "skips must be a list"),
    ],
)
def test_a_wrong_catalog_is_exit_2_without_a_traceback(
    matrix: Path, tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "catalog"
    file.write_text(text)
    said = refreshed(matrix, file, "--openshift", "4.18", component="gpu-operator")
    assert (said.code, said.out) == (2, "")
    assert words in said.err


def test_the_shipped_edges_are_written_as_refresh_writes_them() -> None:
    """So that the next refresh shows what upstream changed, and nothing else."""
    found = documents.read(matrix_dir())
    matrix = build.matrix(found)
    folder = matrix_dir() / "edges"
    openshift = matrix.edges["openshift"]
    current = {
        f"{n}.yaml": (folder / "openshift" / f"{n}.yaml").read_text() for n in found.edges["openshift"]
    }
    same = refresh.GraphData(openshift.channels, ())
    made = refresh.openshift(found.edges["openshift"], openshift, same, current)
    assert {path for path, text in made.files.items() if text != current[path]} == set()
    for name, edges in matrix.edges.items():
        if edges.catalogs:
            text = refresh.operator(found.edges[name], edges, matrix.components[name].scheme, {}).files[
                "olm.yaml"
            ]
            assert text == (folder / name / "olm.yaml").read_text(), name
