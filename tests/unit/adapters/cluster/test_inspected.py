"""A must-gather or inspect folder is read as the cluster was; what it does not hold is unread, not none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from knowngood.adapters.cluster.inspected import seen_in
from knowngood.model.errors import UsageError

NODE = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "gpu-1", "labels": {"a": "b"}}}


def written(folder: Path, name: str, *documents: object) -> None:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump_all(documents))


def test_objects_are_found_alone_and_in_lists(tmp_path: Path) -> None:
    written(tmp_path, "cluster-scoped-resources/core/nodes/gpu-1.yaml", NODE)
    pods = [{"metadata": {"name": "a", "namespace": "n"}}, {"metadata": {"name": "b", "namespace": "n"}}]
    written(tmp_path, "namespaces/n/core/pods.yaml", {"apiVersion": "v1", "kind": "PodList", "items": pods})
    seen = seen_in(tmp_path)
    assert [n["metadata"]["name"] for n in seen.of("Node")] == ["gpu-1"]
    assert [p["kind"] for p in seen.of("Pod")] == ["Pod", "Pod"]
    assert "the folder has none" in seen.unread["NVIDIADriver"]
    assert seen.identity is None


def test_what_is_no_object_is_named_and_logs_are_passed_over(tmp_path: Path) -> None:
    written(tmp_path, "cluster-scoped-resources/core/nodes/gpu-1.yaml", NODE)
    (tmp_path / "broken.yaml").write_text("{")
    written(tmp_path, "namespaces/n/pods/x/logs/current.yaml", {"kind": "Node", "metadata": {"name": "no"}})
    seen = seen_in(tmp_path)
    assert [*seen.of("Node")] == [NODE]
    assert "broken.yaml" in seen.unread


def test_a_kind_that_several_apis_have_is_that_of_ours(tmp_path: Path) -> None:
    """A must-gather holds both: a Network of the configuration and one of its operator, of one name."""
    written(tmp_path, "core/nodes/gpu-1.yaml", NODE)
    ours = {"apiVersion": "config.openshift.io/v1", "kind": "Network", "metadata": {"name": "cluster"}}
    other = {"apiVersion": "operator.openshift.io/v1", "kind": "Network", "metadata": {"name": "cluster"}}
    written(tmp_path, "config.openshift.io/networks.yaml", {**ours, "kind": "NetworkList", "items": [ours]})
    written(tmp_path, "operator.openshift.io/networks/cluster.yaml", other)
    assert seen_in(tmp_path).of("Network") == (ours,)


def test_a_folder_below_one_that_is_named_as_logs_are(tmp_path: Path) -> None:
    written(tmp_path, "logs/must-gather/nodes.yaml", NODE)
    assert seen_in(tmp_path / "logs" / "must-gather").of("Node") == (NODE,)


def test_what_is_no_file_is_named_and_not_waited_for(tmp_path: Path) -> None:
    written(tmp_path, "nodes.yaml", NODE)
    (tmp_path / "latest.yaml").symlink_to("nowhere.yaml")
    os.mkfifo(tmp_path / "pipe.yaml")
    unread = seen_in(tmp_path).unread
    assert (unread["latest.yaml"], unread["pipe.yaml"]) == ("no file", "no file")


def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        seen_in(tmp_path / "must-gather")


def test_a_folder_without_nodes_is_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no Node"):
        seen_in(tmp_path)
