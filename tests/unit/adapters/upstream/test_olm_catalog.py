"""An OLM catalog, a cluster's own or upstream's: one reader, one answer, and what is none is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from knowngood.adapters.upstream.olm_catalog import catalog, checkout
from knowngood.model.errors import UsageError
from knowngood.model.graph import Bundle, Catalog

PACKAGE = "gpu-operator-certified"
YAML = """---
schema: olm.package
name: gpu-operator-certified
defaultChannel: stable
---
schema: olm.channel
package: gpu-operator-certified
name: stable
entries:
  - {name: gpu-operator-certified.v25.3.4, skipRange: ">=1.9.0 <25.3.4"}
  - name: gpu-operator-certified.v25.10.1
    replaces: gpu-operator-certified.v25.3.4
    skips: [gpu-operator-certified.v25.10.0]
---
schema: olm.bundle
package: gpu-operator-certified
name: gpu-operator-certified.v25.10.1
properties:
  - {type: olm.package, value: {packageName: gpu-operator-certified, version: 25.10.1}}
"""
STABLE = (
    Bundle("25.3.4", skip_range=">=1.9.0 <25.3.4"),
    Bundle("25.10.1", replaces="25.3.4", skips=("25.10.0",)),
)


def written(tmp_path: Path, text: str, name: str = "catalog.yaml") -> Path:
    tmp_path.mkdir(parents=True, exist_ok=True)
    file = tmp_path / name
    file.write_text(text)
    return file


def test_a_packages_channels_are_read(tmp_path: Path) -> None:
    found = catalog(written(tmp_path, YAML), PACKAGE)
    assert found.default_channel == "stable"
    assert found.channels == {"stable": STABLE}


def test_json_documents_may_follow_each_other_as_opm_prints_them(tmp_path: Path) -> None:
    blobs = [
        {"schema": "olm.package", "name": "p", "defaultChannel": "c"},
        {"schema": "olm.channel", "package": "p", "name": "c", "entries": [{"name": "p.v1.2.3"}]},
    ]
    text = "\n".join(json.dumps(blob, indent=1) for blob in blobs)
    assert catalog(written(tmp_path, text, "catalog.json"), "p").channels == {"c": (Bundle("1.2.3"),)}


def test_a_folder_is_read_whole_and_a_package_is_chosen_by_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    written(tmp_path / "a", YAML)
    written(tmp_path / "b", YAML.replace(PACKAGE, "other"))
    assert catalog(tmp_path, PACKAGE).channels == {"stable": STABLE}
    with pytest.raises(UsageError, match=f"no package third; there are {PACKAGE}, other"):
        catalog(tmp_path, "third")


def test_a_package_or_a_channel_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """Which of the two OLM would take is not for us to guess."""
    with pytest.raises(UsageError, match="the package gpu-operator-certified stands twice"):
        catalog(written(tmp_path, YAML + "---\n" + YAML), PACKAGE)
    again = "---\nschema: olm.channel\npackage: gpu-operator-certified\nname: stable\nentries: []\n"
    with pytest.raises(UsageError, match="the channel stable stands twice"):
        catalog(written(tmp_path, YAML + again), PACKAGE)


WRONG = [
    ("", "no package gpu-operator-certified; there are none"),
    ("[", "not valid JSON"),
    ("{", "not valid JSON"),
    ("a: [", "not valid YAML"),
    ("- 1\n- 2\n", "a blob must hold keys and values"),
    ("just text", "a blob must hold keys and values"),
    ('{"schema": "olm.package", "name": 7}', "there are 7"),
    (f"schema: olm.package\nname: {PACKAGE}\n", "defaultChannel is 'None', not a name"),
    (f"schema: olm.package\nname: {PACKAGE}\ndefaultChannel: c\n", "has no channels"),
    ("a: &a [*a, *a]\n", "there are none"),
    ("base: &a {x: 1}\nother: {<<: *a}\n", "merge keys are not allowed"),
    ("a: " + "[" * 5000, "not valid YAML"),
    ('{"a":' * 5000, "not valid JSON"),
    ("schema: olm.package\nname: \x07\n", "not valid YAML"),
    (YAML.replace(">=1.9.0 <25.3.4", "from 1.9 on"), "skipRange: "),
    (YAML.replace("[gpu-operator-certified.v25.10.0]", "25.10.0"), "skips must be a list"),
    (
        YAML.replace("replaces: gpu-operator-certified.v25.3.4", "replaces: gpu-operator-certified"),
        "names no",
    ),
]


@pytest.mark.parametrize(("text", "says"), WRONG)
def test_what_is_no_catalog_is_named_with_its_file(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        catalog(written(tmp_path, text), PACKAGE)
    assert says in caught.value.message
    assert caught.value.hint
    assert "catalog.yaml" in str(caught.value.where)


def test_a_line_that_can_not_be_read_is_named_by_its_number(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        catalog(written(tmp_path, YAML + "---\n: [\n"), PACKAGE)
    assert str(caught.value.where).endswith("catalog.yaml:21")
    good = json.dumps({"schema": "olm.package", "name": PACKAGE, "defaultChannel": "c"})
    with pytest.raises(UsageError) as caught:
        catalog(written(tmp_path, good + "\n{nonsense", "catalog.json"), PACKAGE)
    assert str(caught.value.where).endswith("catalog.json:2")


@pytest.mark.parametrize("text", [YAML, *(text for text, _ in WRONG)])
def test_a_file_gives_one_answer_whoever_reads_it(tmp_path: Path, text: str) -> None:
    """`plan --catalog` and `refresh` would else plan and write by two truths."""
    file = written(tmp_path / "catalogs" / "v4.18" / PACKAGE, text)

    def answer(read: Callable[[], Catalog]) -> object:
        try:
            found = read()
        except UsageError as error:
            return error.message, str(error.where)
        return found.default_channel, found.channels

    planned = answer(lambda: catalog(file, PACKAGE))
    assert planned == answer(lambda: checkout(file, PACKAGE, "4.18")["4.18"])
    assert planned == answer(lambda: checkout(tmp_path, PACKAGE)["4.18"])


def test_no_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such catalog"):
        catalog(tmp_path / "nowhere.yaml", PACKAGE)
    with pytest.raises(UsageError, match="no catalog in this folder"):
        catalog(tmp_path, PACKAGE)


def test_a_range_may_be_written_with_a_v(tmp_path: Path) -> None:
    text = YAML.replace(">=1.9.0 <25.3.4", ">=v1.9.0 <v25.3.4")
    assert catalog(written(tmp_path, text), PACKAGE).channels == {"stable": STABLE}
