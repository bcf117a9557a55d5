"""The documents keep their promises: links lead somewhere, commands and options exist, exit codes are the program's."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import click
import pytest

from knowngood.cli.main import COMMANDS, cli
from knowngood.model.errors import ExitCode

ROOT = Path(__file__).parents[3]
README = ROOT / "README.md"
TEMPLATES = ROOT / "runner" / "knowngood" / "adapters" / "templates"
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
        TEMPLATES / "README.md",
    ]
)
PIPELINES = [*(ROOT / ".github" / "workflows").glob("*.yml"), *TEMPLATES.rglob("*.yml")]
SCRIPTS = [
    path
    for path in [ROOT / "Makefile", *sorted((ROOT / "tools").iterdir()), *sorted(PIPELINES)]
    if path.is_file()
]
LINK = re.compile(r"\[[^\]]+\]\((?!https?:)([^)#]*)(#[^)]*)?\)")
COMMAND = re.compile(r"(?:^|[ `/(])knowngood ((?:[a-z]+|--)[^`#|;&)\n]*)")


def shown_commands(path: Path) -> list[list[str]]:
    """The words after `knowngood` of each command in a document's code spans and blocks, or in a script."""
    text = path.read_text()
    if path.suffix == ".md":
        blocks = re.findall(r"^(?: {4}|\t)(.*)$", text, flags=re.MULTILINE)
        text = "\n".join([*blocks, *re.findall(r"`(knowngood [^`]*)`", text)])
    found = (re.sub(r"[\"']", "", match).split() for match in COMMAND.findall(text))
    return [words for words in found if words[0] in COMMANDS]


def command_named(words: list[str]) -> click.Command:
    """The command that `words` call, sub-commands included."""
    context = click.Context(cli)
    command: click.Command | None = cli.get_command(context, words[0])
    for word in words[1:]:
        if not isinstance(command, click.Group) or word.startswith("-"):
            break
        command = command.get_command(context, word)
    assert command is not None, words
    return command


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path: Path) -> None:
    targets = [match[0] for match in LINK.findall(path.read_text()) if match[0]]
    assert not [target for target in targets if not (path.parent / target).exists()]


@pytest.mark.parametrize("path", [*DOCUMENTS, *SCRIPTS], ids=lambda p: str(p.relative_to(ROOT)))
def test_commands_that_are_shown_exist_with_their_options(path: Path) -> None:
    for words in shown_commands(path):
        command = command_named(words)
        known = {flag for parameter in command.params for flag in parameter.opts} | {"--help"}
        used = {word.split("=")[0] for word in words if word.startswith("--")}
        assert not used - known, " ".join(words)


def options_of(command: click.Command) -> set[str]:
    """All options of a command and of those below it."""
    found = {flag for parameter in command.params for flag in parameter.opts}
    if isinstance(command, click.Group):
        context = click.Context(command)
        below = (command.get_command(context, name) for name in command.list_commands(context))
        found |= {flag for one in below if one for flag in options_of(one)}
    return found


def options_of_programs() -> set[str]:
    """Those that the twin, the probe and our tools read by themselves."""
    folders = (
        ROOT / "runner" / "knowngood" / "twin",
        ROOT / "runner" / "knowngood" / "probe",
        ROOT / "tests",
    )
    texts = [path.read_text() for folder in folders for path in folder.rglob("*.py")]
    return {flag for text in texts for flag in re.findall(r"add_argument\(\s*\"(--[a-z][a-z-]+)", text)}


@cache
def every_option() -> set[str]:
    """Of all our programs; looked for once."""
    return options_of(cli) | options_of_programs()


FOREIGN = {
    *("--no-deps", "--wheel-dir", "--require-hashes", "--requirement"),  # pip
    *("--confcutdir", "--import-mode", "--rootdir", "--strict"),  # pytest, yamllint
    *("--overwrite", "--type", "--server-side", "--force-conflicts", "--image-for"),  # kubectl, oc
    *("--set-upstream-to", "--grep", "--vacuum-size", "--color"),  # git, journalctl, dmesg
    *("--nodes", "--image", "--drain", "--wait", "--reboot-mode"),  # talosctl
}
"""Options of others' programs that our documents name."""


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_options_that_are_named_alone_exist(path: Path) -> None:
    known = every_option() | FOREIGN | {"--help"}
    spans = re.findall(r"`([^`\n]+)`", path.read_text())
    named = {flag for span in spans for flag in re.findall(r"(?<![\w-])(--[a-z][a-z-]+)", span)}
    assert not named - known


def test_commands_are_found_at_all() -> None:
    """Else the test above shows nothing."""
    assert ["plan", "ams-prod", "--to", "r595"] in shown_commands(README)
    assert any(words[0] == "demo" for words in shown_commands(ROOT / "Makefile"))


def test_the_readme_lists_every_command_and_exit_code() -> None:
    text = README.read_text()
    assert not [name for name in COMMANDS if f"`{name}`" not in text]
    listed = dict(re.findall(r"^\| (\d+) \| (.*) \|$", text, flags=re.MULTILINE))
    assert listed == {str(int(code)): code.meaning for code in ExitCode}


def test_the_readme_is_short_and_starts_with_something_to_run() -> None:
    lines = README.read_text().splitlines()
    assert len(lines) <= 150
    assert any("make demo" in line for line in lines[:30])
    assert any("What it is not" in line for line in lines)
