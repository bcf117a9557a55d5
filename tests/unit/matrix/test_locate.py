"""Shipped data is found beside the installed package, else in the checkout, else not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from knowngood.matrix.locate import (
    data_root,
    gates_dir,
    matrix_dir,
    own_roles,
    playbooks_dir,
    schema_dir,
)
from knowngood.model.errors import UsageError

CHECKOUT = Path(__file__).parents[3]


def test_in_a_checkout_the_data_is_the_checkouts_own() -> None:
    assert data_root() == CHECKOUT
    assert schema_dir() == CHECKOUT / "matrix" / "schema"
    assert (gates_dir(), playbooks_dir()) == (CHECKOUT / "gates", CHECKOUT / "playbooks")


def test_an_installed_package_reads_what_lies_beside_it(tmp_path: Path) -> None:
    package = tmp_path / "site-packages" / "knowngood"
    (package / "_data").mkdir(parents=True)
    assert data_root(package) == package / "_data"


def test_without_data_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        data_root(tmp_path / "runner" / "knowngood")
    assert "install" in caught.value.hint


def test_a_folder_of_ones_own_replaces_the_matrix_but_not_the_schemas(tmp_path: Path) -> None:
    assert matrix_dir(tmp_path) == tmp_path
    assert schema_dir().is_relative_to(CHECKOUT)


def test_a_wrong_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        matrix_dir(tmp_path / "x")
    assert str(caught.value.where) == str(tmp_path / "x")


def test_a_role_of_ones_own_is_named_as_the_playbook_takes_it(tmp_path: Path) -> None:
    """Whatever is in its folder; a role of another name takes nobody's place, a file is no role."""
    roles = tmp_path / "playbooks" / "roles"
    for file in ("drain/tasks/main.yaml", "hold/defaults/main.yml", "helper/tasks/main.yml", "release"):
        (roles / file).parent.mkdir(parents=True, exist_ok=True)
        (roles / file).touch()
    assert own_roles(tmp_path / "matrix") == (roles, ("drain", "hold"))


def test_no_role_of_ones_own_is_none(tmp_path: Path) -> None:
    assert own_roles(tmp_path / "matrix")[1] == ()
