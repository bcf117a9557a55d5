"""A cluster's own OLM catalog, as YAML or JSON, and what is none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from knowngood.matrix.fbc import catalog
from knowngood.model.errors import KnowngoodError, UsageError
from knowngood.model.graph import Bundle

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
    file = tmp_path / name
    file.write_text(text)
    return file


def test_the_channels_of_the_only_package_are_read(tmp_path: Path) -> None:
    found = catalog(written(tmp_path, YAML))
    assert found.default_channel == "stable"
    assert found.channels == {"stable": STABLE}


def test_json_documents_may_follow_each_other_as_opm_prints_them(tmp_path: Path) -> None:
    blobs = [
        {"schema": "olm.package", "name": "p", "defaultChannel": "c"},
        {"schema": "olm.channel", "package": "p", "name": "c", "entries": [{"name": "p.v1.2.3"}]},
    ]
    text = "\n".join(json.dumps(blob, indent=1) for blob in blobs)
    assert catalog(written(tmp_path, text, "catalog.json")).channels == {"c": (Bundle("1.2.3"),)}


def test_a_folder_is_read_whole_and_a_package_is_chosen_by_name(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    written(tmp_path / "a", YAML)
    written(tmp_path / "b", YAML.replace("gpu-operator-certified", "other"))
    assert catalog(tmp_path, "gpu-operator-certified").channels == {"stable": STABLE}
    with pytest.raises(UsageError, match="2 packages: gpu-operator-certified, other"):
        catalog(tmp_path)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "0 packages"),
        ("[", "no catalog"),
        ("{", "no catalog"),
        ("- 1\n- 2\n", "0 packages"),
        ('{"schema": "olm.package", "name": 7}', "has no channels"),
        ("schema: olm.package\nname: p\n", "has no channels"),
        ("a: &a [*a, *a]\n", "0 packages"),
        ("[" * 5000, "no catalog"),
        ('{"a":' * 5000, "no catalog"),
        ("schema: olm.package\nname: \x07\n", "no catalog"),
    ],
)
def test_what_is_no_catalog_is_named_with_its_file(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(KnowngoodError) as caught:
        catalog(written(tmp_path, text))
    assert says in caught.value.message
    assert caught.value.hint
    assert "catalog.yaml" in str(caught.value.where)


def test_no_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such catalog"):
        catalog(tmp_path / "nowhere.yaml")
    with pytest.raises(UsageError, match="no catalog in this folder"):
        catalog(tmp_path)


def test_a_range_that_can_not_be_read_is_an_error_and_a_v_is_none(tmp_path: Path) -> None:
    """Else the updates that it offers would be missing without a word."""
    with pytest.raises(UsageError, match="skipRange: ") as caught:
        catalog(written(tmp_path, YAML.replace(">=1.9.0 <25.3.4", "from 1.9 on")))
    assert "catalog.yaml" in str(caught.value.where)
    found = catalog(written(tmp_path, YAML.replace(">=1.9.0 <25.3.4", ">=v1.9.0 <v25.3.4")))
    assert found.channels == {"stable": STABLE}
