"""The kubernetes.core modules, unchanged, in one playbook."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .conftest import Object, Twin

PodMaker = Callable[..., Object]

ROOT = Path(__file__).parents[3]
MAP = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: '{{ space }}'}, data: {a: '%s'}}"
PLAYBOOK = f"""
- hosts: localhost
  connection: local
  gather_facts: false
  tasks:
  - {{kubernetes.core.k8s: {{apply: true, definition: {MAP % "1"}}}, register: created}}
  - {{kubernetes.core.k8s: {{definition: {MAP % "1"}}}, register: again}}
  - {{kubernetes.core.k8s: {{definition: {MAP % "2"}}}, register: changed}}
  - kubernetes.core.k8s_json_patch:
      kind: ConfigMap
      name: c
      namespace: "{{{{ space }}}}"
      patch: [{{op: test, path: /data/a, value: "2"}}, {{op: replace, path: /data/a, value: "3"}}]
  - {{kubernetes.core.k8s_info: {{kind: ConfigMap, namespace: "{{{{ space }}}}", name: c}}, register: found}}
  - kubernetes.core.k8s_info:
      {{kind: Pod, namespace: "{{{{ space }}}}", label_selectors: [app=p], field_selectors: [spec.nodeName=n1]}}
    register: pods
  - {{kubernetes.core.k8s_exec: {{namespace: "{{{{ space }}}}", pod: p, command: echo hi}}, register: said}}
  - kubernetes.core.k8s:
      {{state: absent, kind: ConfigMap, name: c, namespace: "{{{{ space }}}}", wait: true, wait_timeout: 20}}
  - ansible.builtin.copy:
      dest: "{{{{ out }}}}"
      content: >-
        {{{{ {{'created': created.changed, 'again': again.changed, 'changed': changed.changed,
        'data': found.resources[0].data, 'pods': pods.resources | length, 'said': said.stdout}} | to_json }}}}
"""


def collections() -> Path | None:
    """Return the folder that holds kubernetes.core."""
    named = os.environ.get("ANSIBLE_COLLECTIONS_PATH", "").split(":")
    for folder in (*(Path(name) for name in named if name), ROOT / ".collections"):
        if (folder / "ansible_collections/kubernetes/core").is_dir():
            return folder
    return None


@pytest.mark.skipif(collections() is None, reason="the collection kubernetes.core is not installed")
def test_the_modules_work_unchanged(twin: Twin, namespace: str, pod: PodMaker, tmp_path: Path) -> None:
    path = f"/api/v1/namespaces/{namespace}/pods"
    twin.create(path, pod("p", nodeName="n1"))
    twin.patch(f"{path}/p/status", {"status": {"phase": "Running"}})
    playbook, out = tmp_path / "play.yml", tmp_path / "out.json"
    playbook.write_text(PLAYBOOK, encoding="utf-8")
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "TMPDIR": str(tmp_path),
        "LANG": "C.UTF-8",
        "KUBECONFIG": str(twin.kubeconfig),
        "ANSIBLE_COLLECTIONS_PATH": str(collections()),
    }
    variables = {
        "space": namespace,
        "out": str(out),
        "ansible_python_interpreter": sys.executable,
    }
    done = subprocess.run(
        ["ansible-playbook", str(playbook), "-e", json.dumps(variables)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(out.read_text(encoding="utf-8")) == {
        "created": True,
        "again": False,
        "changed": True,
        "data": {"a": "3"},
        "pods": 1,
        "said": "hi\n",
    }
