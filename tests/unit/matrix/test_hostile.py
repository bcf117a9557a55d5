"""Whatever lies in a matrix folder, the answer is findings with file, line, expectation and advice. Nothing hangs."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.unit.cli.called import knowngood

from knowngood.matrix.documents import PROBLEMS_A_FILE
from knowngood.matrix.load import check
from knowngood.matrix.yaml_text import MAX_BYTES
from knowngood.model.errors import Problem

EXAMPLES = Path(__file__).parents[2] / "examples"
NOW = datetime(2026, 8, 23, tzinfo=UTC)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return shutil.copytree(EXAMPLES / "base", tmp_path / "matrix")


def found(base: Path) -> list[Problem]:
    problems = list(check(base, now=NOW).problems)
    assert all(p.where.file and p.where.line and p.hint and p.expected for p in problems), problems
    return problems


BOMB = "a: &a [x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
FILES: dict[str, tuple[bytes, str, str]] = {  # what is in the file, the rule, words of the message
    "alias bomb": (BOMB.encode(), "KG001", "anchors and aliases"),
    "merge key": (b"x: &a {b: c}\n<<: *a\n", "KG001", "anchors and aliases"),
    "merge key without an anchor": (b"<<: {status: candidate}\n", "KG002", "unknown key '<<'"),
    "python tag": (b"status: !!python/object/apply:os.system [ls]\n", "KG001", "the tag"),
    "local tag": (b"status: !x y\n", "KG001", "the tag"),
    "binary tag": (b"status: !!binary aGk=\n", "KG001", "the tag"),
    "two documents": (b"status: candidate\n---\nstatus: candidate\n", "KG001", "second YAML document"),
    "directive": (b"%TAG ! tag:x,2000:\n---\nstatus: !y z\n", "KG001", "the tag"),
    "deep flow": (b"[" * 100_000, "KG001", "nested deeper"),
    "deep mapping": (b"{a: " * 100_000, "KG001", "nested deeper"),
    "deep block": (b"".join(b" " * n + b"a:\n" for n in range(500)), "KG001", "nested deeper"),
    "tab": (b"profiles:\n\t- pcie\n", "KG001", "not valid YAML"),
    "control character": (b"status: a\x00b\n", "KG001", "not valid YAML"),
    "escaped control character": (b'status: "\\e[2J\\a"\n', "KG002", "allowed are"),
    "half a surrogate pair": (b'status: "\\ud800"\n', "KG001", "not valid YAML"),
    "byte order mark": (b"\xef\xbb\xbfstatus: candidate\n", "KG001", "byte order mark"),
    "utf-16": ("status: candidate\n".encode("utf-16"), "KG001", "not UTF-8"),
    "latin-1": (b"status: caf\xe9\n", "KG001", "not UTF-8 text (byte 11)"),
    "no mapping": (b"- status\n", "KG002", "must be keys and values"),
    "a word": (b"status", "KG002", "must be keys and values"),
    "key is a list": (b"? [status]\n: candidate\n", "KG001", "a key must be plain text"),
    "key is empty": (b"? \n: candidate\n", "KG002", "unknown key ''"),
    "infinity": (b"status: .inf\n", "KG002", "allowed are"),
    "not a number": (b"status: .nan\n", "KG002", "allowed are"),
    "only white space": (b" \n \n", "KG001", "empty"),
    "larger than allowed": (b"#" * (MAX_BYTES + 1), "KG001", "larger than"),
    "many values": (b"- a\n" * 150_000, "KG001", "more than"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_is_a_finding(base: Path, name: str) -> None:
    content, rule, words = FILES[name]
    (base / "releases/new.yaml").write_bytes(content)
    problems = found(base)
    assert {Path(p.where.file).name for p in problems} == {"new.yaml"}
    assert any(p.rule == rule and words in p.message for p in problems)


def test_a_file_of_fifty_megabytes_is_not_read_to_the_end(base: Path) -> None:
    with (base / "releases/new.yaml").open("wb") as file:
        file.truncate(50 * 1024 * 1024)
    (problem,) = found(base)
    assert "larger than 1024 KiB" in problem.message


def test_lines_may_end_as_on_windows(base: Path) -> None:
    file = base / "releases/old.yaml"
    file.write_bytes(file.read_bytes().replace(b"\n", b"\r\n"))
    assert found(base) == []


@pytest.mark.parametrize(
    "number", ["9" * 5000, "-" + "9" * 5000, "1e999", "1e-999", "0x10", "1_000", ".inf", "NaN"]
)
def test_a_number_that_is_none_is_a_finding(base: Path, number: str) -> None:
    file = base / "profiles/pcie.yaml"
    file.write_text(
        "\n".join(f"gpus: {number}" if x.startswith("gpus:") else x for x in file.read_text().splitlines())
    )
    assert [p.rule for p in found(base) if p.where.file == str(file)] == ["KG002"]


@pytest.mark.parametrize(
    "version",
    ["", "4", "4.18", "v4.18.52", "4.18.52 ", "4.18.x", ">=4.18", "9" * 100 + ".1.1", "٤.١٨.٥٢", "4.18.52\n"],
)
def test_a_bad_version_is_a_finding(base: Path, version: str) -> None:
    file = base / "releases/old.yaml"
    file.write_text(file.read_text().replace("4.18.52", json.dumps(version)))
    problems = found(base)
    assert {p.where.file for p in problems} == {str(file)}
    assert {p.rule for p in problems} <= {"KG002", "KG202", "KG206"}


def test_a_url_that_is_none_is_a_finding(base: Path) -> None:
    """Found by `make fuzz`."""
    file = base / "clusters/lab.yaml"
    file.write_text(re.sub("repo: .*", 'repo: "https://["', file.read_text()))
    assert [p.rule for p in found(base)] == ["KG413"]


def test_what_refers_to_itself_in_a_circle_is_a_finding(base: Path) -> None:
    old = (base / "releases/old.yaml").read_text()
    for name, supersedes, driver in (("a", "b", "580.173.03"), ("b", "a", "580.173.04")):
        text = old.replace("580.173.02", driver) + f"supersedes: {supersedes}\n"
        (base / f"releases/{name}.yaml").write_text(text)
    assert [p.rule for p in found(base)] == ["KG208", "KG208"]


def fifo(path: Path) -> None:
    os.mkfifo(path)


def unix_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # a socket's path is short
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(here)


def folder(path: Path) -> None:
    path.mkdir()


def link_outside(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def link_above(path: Path) -> None:
    path.symlink_to("../../../" * 10)


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def link_to_nothing(path: Path) -> None:
    path.symlink_to("gone.yaml")


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


STRANGE: list[Callable[[Path], None]] = [
    fifo,
    unix_socket,
    folder,
    link_outside,
    link_above,
    link_to_itself,
    link_to_nothing,
    link_to_a_device,
]


@pytest.mark.timeout(30)
@pytest.mark.parametrize("make", STRANGE, ids=lambda f: f.__name__)
@pytest.mark.parametrize("place", ["releases/new.yaml", "evidence/lab/old-r1.json", "evidence/lab"])
def test_what_is_no_plain_file_is_a_finding_and_nobody_waits_for_it(
    base: Path, make: Callable[[Path], None], place: str
) -> None:
    (base / place).parent.mkdir(parents=True, exist_ok=True)
    make(base / place)
    problems = found(base)
    if make is folder and place == "evidence/lab":
        assert problems == []
    else:
        assert {(p.rule, p.where.file) for p in problems} <= {
            ("KG001", str(base / place)),
            ("KG003", str(base / place)),
        }
        assert len(problems) == 1


def test_a_link_inside_the_matrix_is_followed(base: Path) -> None:
    """Kubernetes mounts a ConfigMap as links into a hidden folder."""
    (base / "..data").mkdir()
    (base / "releases/old.yaml").rename(base / "..data/old.yaml")
    (base / "releases/old.yaml").symlink_to("../..data/old.yaml")
    assert found(base) == []


def test_a_folder_of_data_that_is_a_file_or_a_link_away_holds_nothing(base: Path, tmp_path: Path) -> None:
    shutil.move(base / "rules", tmp_path / "rules")
    (base / "rules").symlink_to(tmp_path / "rules")
    shutil.rmtree(base / "clusters")
    (base / "clusters").write_text("no folder")
    assert [(p.rule, p.where.file) for p in found(base)] == [
        ("KG001", str(base / "rules")),
        ("KG001", str(base / "clusters")),
    ][::-1]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_a_finding(base: Path) -> None:
    (base / "releases/old.yaml").chmod(0)
    (base / "rules").chmod(0)
    assert {p.rule for p in found(base)} >= {"KG001"}


def test_the_first_problems_of_a_file_are_shown_not_a_hundred_thousand(base: Path) -> None:
    text = (base / "releases/old.yaml").read_text() + "".join(f"k{n}: x\n" for n in range(20_000))
    (base / "releases/old.yaml").write_text(text)
    assert len(found(base)) == PROBLEMS_A_FILE


@pytest.mark.parametrize("output", ["text", "json", "github", "sarif"])
def test_names_that_are_no_text_are_shown_in_every_format(base: Path, output: str) -> None:
    (base / os.fsdecode(b"releases/\xff\x1b[31m\n::error::.yaml")).write_bytes(b"status: \xff\n")
    said = knowngood("validate", base, "--output", output)
    assert said.code == 1
    said.out.encode("utf-8")
    assert "\x1b" not in said.out
    assert "internal error" not in said.err
