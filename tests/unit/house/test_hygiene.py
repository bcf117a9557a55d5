"""What must never stand in a tracked file, and what must stand in each data file."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
# Written so that the patterns don't match themselves.
REGISTRY_HOSTS = re.compile(r"p[y]pi\.org|p[y]thonhosted|registry\.n[p]mjs|deb\.d[e]bian\.org")
HOME_FOLDERS = re.compile(r"/home/[a-z]+/|/U[s]ers/[a-z]+/")
SCHEMA_LINE = re.compile(r"# yaml-language-server: \$schema=(?P<schema>\S+)")


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    paths = (ROOT / name for name in listing.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def data_files() -> list[Path]:
    return sorted(path for path in (ROOT / "matrix").rglob("*.yaml") if "schema" not in path.parts)


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    if not (ROOT / ".git").exists():
        pytest.skip("not a Git checkout: nothing is tracked here")
    return {str(path.relative_to(ROOT)): text_of(path) for path in tracked()}


def test_no_tracked_file_names_a_package_registry(texts: dict[str, str]) -> None:
    """The project must install from any mirror, so it names none."""
    assert not [name for name, text in texts.items() if REGISTRY_HOSTS.search(text)]


def test_no_tracked_file_names_the_folder_it_was_built_in(texts: dict[str, str]) -> None:
    here = re.compile(re.escape(str(ROOT)) + r"(?![\w-])")
    assert not [name for name, text in texts.items() if here.search(text) or HOME_FOLDERS.search(text)]


def test_requirements_are_pinned_hashed_and_name_no_index() -> None:
    files = sorted((ROOT / "requirements").glob("*.txt"))
    assert {"run.txt", "dev.txt", "collections.txt", "kubectl.txt", "pins.txt"} <= {f.name for f in files}
    for path in files:
        text = path.read_text().replace("\\\n", " ")
        lines = [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]
        assert lines, path.name
        assert not [line for line in lines if "==" not in line or "--hash=sha256:" not in line], path.name
        assert "://" not in text, path.name


def test_each_data_file_opens_with_the_line_that_names_its_schema() -> None:
    files = data_files()
    assert files
    for path in files:
        first = path.read_text().split("\n", 1)[0]
        match = SCHEMA_LINE.fullmatch(first)
        assert match, f"{path}:1: expected '# yaml-language-server: $schema=...', found {first!r}"
        schema = json.loads((path.parent / match["schema"]).read_text())
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema", path


def test_every_action_of_a_workflow_is_pinned_to_a_commit_and_says_its_version() -> None:
    used = [
        (path.name, line.strip())
        for path in sorted((ROOT / ".github" / "workflows").glob("*.yml"))
        for line in path.read_text().splitlines()
        if "uses:" in line
    ]
    assert used
    assert not [entry for entry in used if not re.search(r"uses: [\w./-]+@[0-9a-f]{40} # v\d", entry[1])]
