"""The recipes of our own images: pinned, without a default base, and of files that are there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[3]
RECIPE = (ROOT / "deploy" / "Containerfile").read_text()
ENVIRONMENT = yaml.safe_load((ROOT / "deploy" / "execution-environment.yml").read_text())


def test_the_base_is_the_builders_to_name_and_nobody_is_root_in_the_end() -> None:
    assert "ARG BASE\n" in RECIPE
    assert {line.split()[1] for line in RECIPE.splitlines() if line.startswith("FROM")} == {"${BASE}"}
    assert re.findall(r"^USER (\S+)", RECIPE, re.MULTILINE)[-1] == "1001:0"


def test_whoever_runs_it_has_a_home_that_may_be_written() -> None:
    assert "HOME=/var/lib/knowngood " in RECIPE
    assert "chgrp 0 /var/lib/knowngood && chmod g+rwx /var/lib/knowngood" in RECIPE


def test_neither_history_nor_what_was_built_here_is_copied_in() -> None:
    left = (ROOT / ".dockerignore").read_text().splitlines()
    assert {".git", ".venv", ".cache", ".collections", "runs", "demo", "dist"} <= set(left)
    assert not {
        name for name in ("requirements", "tools", "runner", "matrix", "gates", "playbooks") if name in left
    }


def test_all_that_is_installed_is_pinned_or_from_the_checkout() -> None:
    steps = " & ".join([*ENVIRONMENT["additional_build_steps"]["append_final"], RECIPE.replace("\\\n", "")])
    installs = re.findall(r"pip install ([^&]*)", steps)
    assert len(installs) == 4
    assert [words for words in installs if not re.search("--require-hashes|--no-index", words)] == []


def test_the_files_that_are_named_are_there() -> None:
    for words in ("requirements/run.txt", "tools/unpack.py"):
        assert words in RECIPE
        assert (ROOT / words).is_file()
    sources = [one["src"] for one in ENVIRONMENT["additional_build_files"]]
    assert sources == ["../requirements/run.txt", "../dist/knowngood-*.whl"]


def test_ansible_is_what_the_program_asks_for() -> None:
    asked = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    for one in ("ansible_core", "ansible_runner"):
        assert ENVIRONMENT["dependencies"][one]["package_pip"] in asked
