"""Each playbook runs a role of our collection, by hand as in a run; a team's own role takes its place."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.integration.adapters.echoing import Deaf, echoed, echoing
from tests.movers import EVERY, MOVERS, USERS
from tests.trees import tree_of

from knowngood.adapters.movers.node_work import VERBS
from knowngood.adapters.processes.ansible import AnsibleNodeWork
from knowngood.matrix.load import load
from knowngood.matrix.locate import matrix_dir, own_roles, playbooks_dir
from knowngood.model.field import ObjectRef
from knowngood.model.jsonable import to_json
from knowngood.model.mover import Hold, Moving
from knowngood.ports.cancel import Cancel

NODES = ["gpu-1", "gpu-2"]
OWN = """---
- name: Ours of this name
  ansible.builtin.include_role:
    name: knowngood.fleet.drain

- name: And what only this team does
  knowngood.fleet.node:
    verb: theirs
    nodes: "{{ knowngood_nodes }}"
"""


def run(folder: Path, command: list[str]) -> subprocess.CompletedProcess[str]:
    tools = str(Path(sys.executable).parent)
    environment = {
        "PATH": f"{tools}{os.pathsep}{os.defpath}",
        "HOME": str(folder),
        "ECHO": str(folder / "echo"),
        "KUBECONFIG": str(folder / "nowhere"),
        "LANG": "C.UTF-8",
    }
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False, cwd=folder
    )


def by_hand(folder: Path, playbook: Path, *more: str, **variables: Any) -> subprocess.CompletedProcess[str]:
    """`ansible-playbook PLAYBOOK -e ...`, with nothing of our environment."""
    given = {"knowngood_nodes": NODES, "knowngood_fence": "alice/0", **variables}
    return run(folder, ["ansible-playbook", str(playbook), "-e", json.dumps(given), *more])


def own_role(playbooks: Path) -> Path:
    """Of the ending that is less common, which Ansible takes as well."""
    tasks = playbooks / "roles" / "drain" / "tasks" / "main.yaml"
    tasks.parent.mkdir(parents=True)
    tasks.write_text(OWN)
    return playbooks / "roles"


@pytest.mark.parametrize(
    ("playbook", "variables", "verbs"),
    [
        ("preflight", {}, ["preflight"]),
        ("drain", {"knowngood_keep": True}, ["drain"]),
        ("release", {}, ["release"]),
        ("quarantine", {"knowngood_nodes": {"gpu-1": "Xid 79", "gpu-2": "Xid 79"}}, ["quarantine"]),
        ("canary", {"knowngood_expect": {"nvidia-driver": "595.91.07"}}, ["claim", "drain", "apply"]),
    ],
)
def test_each_playbook_can_be_run_by_hand(
    tmp_path: Path, playbook: str, variables: dict[str, Any], verbs: list[str]
) -> None:
    """canary.yml imports claim.yml, drain.yml and apply.yml."""
    done = by_hand(tmp_path, echoing(tmp_path) / f"{playbook}.yml", **variables)
    assert done.returncode == 0, done.stdout + done.stderr
    given = echoed(tmp_path / "echo")
    assert [each["verb"] for each in given] == verbs
    assert all(each["nodes"] == NODES and each["fence"] == "alice/0" for each in given)
    assert [each["keep"] for each in given if each["verb"] == "drain"] in ([], [playbook == "drain"])


def test_a_role_beside_the_playbooks_takes_the_place_of_ours_by_hand(tmp_path: Path) -> None:
    playbooks = echoing(tmp_path)
    own_role(playbooks)
    done = by_hand(tmp_path, playbooks / "canary.yml", knowngood_expect={})
    assert done.returncode == 0, done.stdout + done.stderr
    assert [each["verb"] for each in echoed(tmp_path / "echo")] == ["claim", "drain", "theirs", "apply"]


def test_a_role_beside_the_matrix_takes_the_place_of_ours_in_a_run(tmp_path: Path) -> None:
    matrix = tmp_path / "ops" / "matrix"
    own_role(matrix.parent / "playbooks")
    folder, names = own_roles(matrix)
    assert names == ("drain",)
    cluster = load(matrix_dir()).clusters["lab-small"]
    ours = echoing(tmp_path)
    work = AnsibleNodeWork(
        cluster, tmp_path / "k", tmp_path / "run", cluster.limits, Deaf(), ours, "r", folder
    )
    (tmp_path / "run").mkdir()
    drained = work.drain(NODES, "alice/0", Cancel(), users=USERS)
    assert drained.done == tuple(NODES)
    assert drained.detail["given"]["verb"] == "theirs"
    assert (
        work.claim(NODES, "alice/0", Cancel(), hold=Hold.CORDON, specs=MOVERS).detail["given"]["verb"]
        == "claim"
    )


def test_a_run_tells_every_role_which_object_declares_what_moves(tmp_path: Path) -> None:
    """Also of what moves along with another class's component, whose role it is."""
    cluster, at = load(matrix_dir()).clusters["lab-small"], ObjectRef("v1", "Policy", "ring-0", "x")
    (tmp_path / "run").mkdir()
    work = AnsibleNodeWork(
        cluster, tmp_path / "k", tmp_path / "run", cluster.limits, Deaf(), echoing(tmp_path), "r"
    )
    driver = Moving("nvidia-driver", "1", "2", EVERY["nvidia-driver"])
    given = work.apply(
        NODES, "alice/0", [driver, Moving("sriov-vfs", "8", "8", EVERY["sriov-vfs"], at)], Cancel()
    )
    assert given.detail["given"]["objects"] == {"nvidia-driver": {}, "sriov-vfs": to_json(at)}


def test_what_can_not_be_tried_is_skipped_in_check_mode(tmp_path: Path) -> None:
    """And asks no cluster: the kubeconfig is nowhere."""
    done = by_hand(tmp_path, playbooks_dir() / "claim.yml", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped=1" in done.stdout


def test_the_module_documents_what_it_takes(tmp_path: Path) -> None:
    command = ["ansible-doc", "--json", "knowngood.fleet.node"]
    collections = f"ANSIBLE_COLLECTIONS_PATH={playbooks_dir() / 'collections'}"
    done = run(tmp_path, ["env", collections, *command])
    documented = json.loads(done.stdout)["knowngood.fleet.node"]["doc"]["options"]
    (source,) = playbooks_dir().rglob("plugins/modules/node.py")
    specs = [
        ast.literal_eval(keyword.value)
        for keyword in ast.walk(tree_of(source.read_text()))
        if isinstance(keyword, ast.keyword) and keyword.arg == "argument_spec"
    ]
    (taken,) = specs
    assert set(documented) == set(taken)
    for name, spec in taken.items():
        told = {key: documented[name].get(key) for key in spec}
        assert told == spec, name
    assert taken["verb"]["choices"] == list(VERBS)
