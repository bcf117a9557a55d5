"""Several files in KUBECONFIG: of each name the first file that has it counts, as in client-go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.unit.adapters.kubernetes.configs import config

from knowngood.adapters.kubernetes import kubeconfig
from knowngood.model.errors import UsageError


def several(tmp_path: Path, *configs: dict[str, Any]) -> str:
    """KUBECONFIG with these files, and one that is not there."""
    paths = [tmp_path / f"config-{number}" for number in range(len(configs))]
    for path, content in zip(paths, configs, strict=True):
        path.write_text(yaml.safe_dump(content))
    return ":".join(map(str, (tmp_path / "gone", *paths, "")))


def test_of_several_files_the_one_that_kubectl_would_go_by_counts(tmp_path: Path) -> None:
    empty = {"kind": "Config"}
    other = config()
    other["current-context"] = "other"
    assert kubeconfig.one_of(several(tmp_path, empty, config(), other)).name == "config-1"
    assert kubeconfig.one_of(str(tmp_path / "gone")).name == "gone"


@pytest.mark.parametrize("section", ["contexts", "clusters", "users"])
def test_a_context_whose_parts_lie_in_several_files_is_brought_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, section: str
) -> None:
    """The first file that has a name counts, and a file that an entry names lies beside the file that it is in."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    (tmp_path / "token").write_text("of-the-file")
    first = config()
    first["users"][0]["user"] = {"tokenFile": "token"}
    rest = {key: value for key, value in first.items() if key != section}
    made = kubeconfig.one_of(several(tmp_path, {section: first[section]}, rest))
    access = kubeconfig.load(made)
    assert access.server == config()["clusters"][0]["cluster"]["server"].rstrip("/")
    assert access.token() == "of-the-file"
    assert made.stat().st_mode & 0o777 == 0o600
    assert made.is_relative_to(tmp_path / "state")


def test_what_is_brought_together_is_as_its_files_are_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that was renewed is taken, and no second file is left."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for token in ("old", "new"):
        users = {"users": [{"name": config()["users"][0]["name"], "user": {"token": token}}]}
        made = kubeconfig.one_of(several(tmp_path, users, config()))
        assert kubeconfig.load(made).token() == token
    assert list(made.parent.iterdir()) == [made]


def test_a_context_of_which_a_part_is_nowhere_is_refused(tmp_path: Path) -> None:
    lacking = {key: value for key, value in config().items() if key != "users"}
    with pytest.raises(UsageError, match="users has no entry"):
        kubeconfig.one_of(several(tmp_path, {"kind": "Config"}, lacking))


def test_an_empty_file_among_several_is_passed_over(tmp_path: Path) -> None:
    named = several(tmp_path, {}, config())
    (tmp_path / "config-0").write_text("")
    assert kubeconfig.one_of(named).name == "config-1"


@pytest.mark.parametrize("wrong", ["ams", 7, ["ams", None], [{"context": {}}], {"name": "ams"}])
def test_a_section_without_entries_is_no_crash(tmp_path: Path, wrong: object) -> None:
    assert kubeconfig.one_of(several(tmp_path, {"contexts": wrong}, config())).name == "config-1"


def test_an_entry_that_is_no_mapping_is_refused_by_name(tmp_path: Path) -> None:
    bad = {"current-context": "ams", "contexts": [{"name": "ams", "context": "lab"}]}
    with pytest.raises(UsageError, match="context 'ams' is no mapping"):
        kubeconfig.one_of(several(tmp_path, bad, config()))


def test_several_files_without_a_current_context_are_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no current-context is set"):
        kubeconfig.one_of(several(tmp_path, {"kind": "Config"}, {"kind": "Config"}))
