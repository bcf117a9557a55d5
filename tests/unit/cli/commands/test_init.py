"""`init` lays out what is missing and nothing else; its pipelines are sound, and install nothing that is not pinned."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from tests.unit.cli.called import knowngood

from knowngood.adapters import pins
from knowngood.adapters.layout import TEMPLATES, ci_of
from knowngood.cli.version import VERSION

WHEEL = f"knowngood-{VERSION}-py3-none-any.whl"
GITHUB = sorted((TEMPLATES / "github").glob("*.yml"))


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh repository with GitHub's pipelines, the tool pinned by a wheel."""
    folder = tmp_path_factory.mktemp("init")
    (folder / WHEEL).write_bytes(b"a wheel")
    said = knowngood("init", folder / "ops", "--ci", "github", "--wheel", folder / WHEEL)
    assert said.code == 0, said.err
    return folder / "ops"


def git(folder: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout


def tool(name: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name(name)), *map(str, words)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


def test_a_fresh_repository_validates_without_a_warning(laid_out: Path) -> None:
    said = knowngood("validate", "--matrix", laid_out / "matrix")
    assert said.code == 0, said.out
    assert "0 errors, 0 warnings" in said.err


def test_the_pipelines_of_both_are_what_their_schemas_ask_and_zizmor_finds_nothing(laid_out: Path) -> None:
    workflows = laid_out / ".github" / "workflows"
    assert sorted(p.name for p in workflows.iterdir()) == [
        "nightly.yml",
        "promote.yml",
        "rehearse.yml",
        "validate.yml",
    ]
    for schema, files in (
        ("github-workflows", GITHUB),
        ("gitlab-ci", [TEMPLATES / "gitlab" / "gitlab-ci.yml"]),
    ):
        done = tool("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)
        assert done.returncode == 0, done.stdout
    audited = tool("zizmor", "--offline", "--quiet", "--pedantic", workflows)
    assert audited.returncode == 0, audited.stdout


@pytest.mark.parametrize("file", GITHUB, ids=lambda p: p.name)
def test_each_workflow_is_reusable_but_the_one_that_only_a_person_starts(file: Path) -> None:
    starts = yaml.safe_load(file.read_text())[True]
    assert ("workflow_call" in starts) is (file.name != "promote.yml")


@pytest.mark.parametrize("file", [f for f in GITHUB if f.name != "promote.yml"], ids=lambda p: p.name)
def test_ours_are_the_same_and_install_by_the_pins_of_the_repository_that_calls_them(file: Path) -> None:
    ours = (TEMPLATES.parents[3] / ".github" / "workflows" / file.name).read_text()
    lines = [line for line in ours.splitlines() if "|| exec make setup" not in line]
    assert [line.partition(" # where another")[0] for line in lines] == file.read_text().splitlines()


def test_a_promotion_is_validated_before_its_pull_request_which_githubs_own_token_would_never_have_checked() -> (
    None
):
    text = (TEMPLATES / "github" / "promote.yml").read_text()
    steps = yaml.safe_load(text)["jobs"]["promote"]["steps"]
    runs = [str(step.get("run", "")) for step in steps]
    at = {
        word: next(n for n, run in enumerate(runs) if word in run)
        for word in (" validate ", " diff ", "gh pr")
    }
    assert max(at[" validate "], at[" diff "]) < at["gh pr"]
    assert steps[at["gh pr"]]["env"]["GH_TOKEN"] == "${{ secrets.KNOWNGOOD_PR_TOKEN || github.token }}"
    for words in (text.replace("\n# ", " "), (TEMPLATES / "README.md").read_text()):
        assert "KNOWNGOOD_PR_TOKEN" in words
        assert "Allow GitHub Actions to create and approve pull requests" in words


def test_gitlabs_jobs_trust_the_checkout_that_another_user_made() -> None:
    jobs = yaml.safe_load((TEMPLATES / "gitlab" / "gitlab-ci.yml").read_text())
    assert (
        jobs[".knowngood"]["before_script"][0] == 'git config --global --add safe.directory "$CI_PROJECT_DIR"'
    )


def test_the_jobs_are_the_same_on_both() -> None:
    names = {file.stem for file in GITHUB}
    jobs = yaml.safe_load((TEMPLATES / "gitlab" / "gitlab-ci.yml").read_text())
    assert names <= jobs.keys()
    assert set(jobs["stages"]) == names


def test_the_tool_and_all_it_needs_are_pinned_by_hash(laid_out: Path) -> None:
    text = (laid_out / ".knowngood" / "requirements.txt").read_text()
    digest = hashlib.sha256(b"a wheel").hexdigest()
    assert f"knowngood=={VERSION} \\\n    --hash=sha256:{digest}\n" in text
    requirements = text.replace("\\\n", "").splitlines()
    unpinned = [
        r for r in requirements if r.strip() and not r.lstrip().startswith("#") and "--hash=" not in r
    ]
    assert unpinned == []


def test_a_fresh_one_is_one_commit_and_validates(laid_out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert git(laid_out, "status", "--porcelain") == ""
    assert len(git(laid_out, "log", "--format=%s").splitlines()) == 1
    monkeypatch.chdir(laid_out)
    said = knowngood("validate")
    assert said.code == 0, said.out


def test_said_again_it_changes_nothing(laid_out: Path) -> None:
    (laid_out / "README.md").write_text("ours")
    said = knowngood("init", laid_out)
    assert (said.code, "has all of it already" in said.out) == (0, True)
    assert git(laid_out, "status", "--porcelain").split() == ["M", "README.md"]


def test_a_repository_that_is_there_gets_what_is_missing_and_no_commit(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "remote", "add", "origin", "git@gitlab.example.com:gpu/ops.git")
    (tmp_path / "gates").mkdir()
    (tmp_path / "gates" / "ours.py").write_text("x = 1\n")
    (tmp_path / ".gitignore").write_text(".venv/\n")
    said = knowngood("init", tmp_path)
    assert said.code == 0, said.err
    assert (tmp_path / ".gitlab-ci.yml").is_file()
    assert not (tmp_path / ".github").exists()
    assert [p.name for p in (tmp_path / "gates").iterdir()] == ["ours.py"]
    assert "gates/ is there already and stays as it is" in said.err
    assert (
        "git add matrix/ playbooks/ README.md .knowngood/requirements.txt .gitlab-ci.yml && git" in said.err
    )
    assert ".gitignore lacks rehearsals/, verdicts/, demo/, diff.md, .cache/:" in said.err
    assert subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=tmp_path, check=False, capture_output=True
    ).returncode


def test_a_link_in_a_repository_of_others_leads_nothing_out_of_it(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    git(tmp_path, "init", "--quiet", "ops")
    (tmp_path / "ops" / ".github").symlink_to(tmp_path / "elsewhere")
    said = knowngood("init", tmp_path / "ops", "--ci", "github")
    assert (said.code, "leads out of the repository" in said.err) == (2, True)
    (tmp_path / "ops" / ".github").unlink()
    (tmp_path / "ops" / "README.md").symlink_to(tmp_path / "elsewhere" / "README.md")
    assert knowngood("init", tmp_path / "ops", "--ci", "none").code == 0
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    said = knowngood("init", tmp_path / "ops", "--ci", "gitlab", "--dry-run")
    assert said.code == 0
    assert "would write .gitlab-ci.yml" in said.out
    assert not (tmp_path / "ops").exists()


@pytest.mark.parametrize(
    ("files", "remote", "found"),
    [
        ((), "https://github.com/a/gitlab-tools.git", "github"),
        ((), "git@gitlab.corp.example:a/github-mirror.git", "gitlab"),
        ((), "ssh://git@git.example.com/a/b.git", ""),
        ((".gitlab-ci.yml",), "https://github.com/a/b.git", "gitlab"),
        ((".github",), "https://gitlab.com/a/b.git", "github"),
        ((".github", ".gitlab-ci.yml"), "", ""),
    ],
)
def test_whose_pipelines_is_told_by_files_then_by_the_remotes_host(
    tmp_path: Path, files: tuple[str, ...], remote: str, found: str
) -> None:
    git(tmp_path, "init", "--quiet")
    for name in files:
        (tmp_path / name).mkdir()
    if remote:
        git(tmp_path, "remote", "add", "origin", remote)
    assert ci_of(tmp_path) == found


def test_where_nothing_says_whose_none_is_laid_out_and_that_is_said(tmp_path: Path) -> None:
    said = knowngood("init", tmp_path / "ops")
    assert said.code == 0
    assert "no pipeline was laid out" in said.err
    assert not (tmp_path / "ops" / ".github").exists()


@pytest.mark.parametrize(
    "name", ["other-0.1.0-py3-none-any.whl", "knowngood-9.9.9-py3-none-any.whl", "x.txt"]
)
def test_another_wheel_is_refused_and_nothing_is_written(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    said = knowngood("init", tmp_path / "ops", "--wheel", tmp_path / name)
    assert said.code == 2
    assert f"not the wheel of knowngood {VERSION}" in said.err
    assert not (tmp_path / "ops").exists()
    assert knowngood("init", tmp_path / "ops", "--wheel", tmp_path / "nowhere.whl").code == 2


@pytest.mark.parametrize(
    ("told", "line"),
    [
        (
            {"url": "https://x.example/k.whl", "archive_info": {"hashes": {"sha256": "ab"}}},
            "@ https://x.example/k.whl",
        ),
        ({"url": "https://me:secret@x.example/k.whl", "archive_info": {"hashes": {"sha256": "ab"}}}, "=="),
        ({"url": "https://x.example/k.whl?t=secret", "archive_info": {"hashes": {"sha256": "ab"}}}, "=="),
        ({"url": "https://x.example/k.whl#secret", "archive_info": {"hashes": {"sha256": "ab"}}}, "=="),
        ({"url": "https://[x/k.whl", "archive_info": {"hashes": {"sha256": "ab"}}}, "=="),
        ({"url": "file:///mnt/wheels/k.whl", "archive_info": {"hashes": {"sha256": "ab"}}}, "=="),
    ],
)
def test_what_pip_remembers_of_the_wheel_is_the_pin(
    monkeypatch: pytest.MonkeyPatch, told: dict[str, object], line: str
) -> None:
    monkeypatch.setattr(pins, "distribution", lambda _: Remembered(json.dumps(told)))
    found = pins.tool(VERSION, None).line
    assert line in found
    assert "--hash=sha256:ab" in found
    assert "secret" not in found
    assert "/mnt" not in found


@pytest.mark.parametrize("told", [None, "{", "[]", '{"dir_info": {"editable": true}, "url": "file:///x"}'])
def test_where_pip_remembers_no_wheel_the_pin_says_so_and_pip_will_refuse(
    monkeypatch: pytest.MonkeyPatch, told: str | None
) -> None:
    monkeypatch.setattr(pins, "distribution", lambda _: Remembered(told))
    found = pins.tool(VERSION, None).line
    assert "NO HASH" in found
    assert "knowngood init . --wheel FILE" in found


class Remembered:
    """Stands for a distribution with that direct_url.json."""

    def __init__(self, told: str | None) -> None:
        self.told = told

    def read_text(self, name: str) -> str | None:
        assert name == "direct_url.json"
        return self.told
