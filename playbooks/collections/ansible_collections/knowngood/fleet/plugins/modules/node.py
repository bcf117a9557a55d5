#!/usr/bin/python
# Copyright: the knowngood authors
# Apache-2.0 (see LICENSE)
"""Do one verb on the nodes of a batch."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from knowngood.adapters.movers.node_work import perform
except ImportError:
    perform = None

DOCUMENTATION = r"""
module: node
short_description: claim, drain, move, release or quarantine the nodes of a batch
description:
  - Each verb is idempotent. What is done to a node is one conditional patch; a newer claim than O(fence) stops it.
extends_documentation_fragment: knowngood.fleet.batch
author: The knowngood authors
options:
  verb:
    description:
      - C(preflight) says what would keep us from claiming the nodes; reads only.
      - C(claim) snapshots, claims, taints and cordons a node that nobody else works on.
      - C(drain) evicts the users of GPU and RDMA, or those of O(users), with kubectl's filters. Budgets are never
        bypassed; a node whose tenants' budgets do not allow it in time is given back. In check mode it says who would
        go.
      - C(apply) restarts the pod into the version that Git declares and waits for a new module load and the operands.
      - C(release) puts back what the snapshot says and takes taint and claim off. Only after a pass.
      - C(quarantine) taints and cordons for a human; the claim and the maintenance taint go.
    type: str
    required: true
    choices: [preflight, claim, drain, apply, release, quarantine]
  expect:
    description: The version to run, by component. Needed by O(verb=apply).
    type: dict
  movers:
    description:
      - How each component moves, as its component file has it. O(verb=claim) measures them for the snapshot,
        O(verb=apply) moves by them. By hand it may be left out for the GPU driver.
    type: dict
    default: {}
  objects:
    description:
      - The object that declares each component of O(expect) for these nodes, C(apiVersion), C(kind), C(name) and
        C(namespace). Needed for virtual functions where several policies select a node.
    type: dict
    default: {}
  since:
    description:
      - Of each node the load, C(boot_id) and C(monotonic) seconds, that O(verb=apply) must be newer than although the
        version is right. What a restart of its pods can load a second time is loaded so.
    type: dict
    default: {}
  users:
    description: Whose pods O(verb=drain) evicts, C(gpu), C(rdma) or both.
    type: list
    elements: str
    default: [gpu, rdma]
  keep:
    description: Keep a node that O(verb=drain) can't drain claimed instead of giving it back; for an undo.
    type: bool
    default: false
  reasons:
    description: Why each node is quarantined. Needed by O(verb=quarantine).
    type: dict
"""

EXAMPLES = r"""
- name: Take nodes out of service
  knowngood.fleet.node:
    verb: claim
    nodes: [gpu-1, gpu-2]
    fence: r20260822-031500-7f3a/4

- name: Restart the driver on drained nodes
  knowngood.fleet.node:
    verb: apply
    nodes: [gpu-1, gpu-2]
    fence: r20260822-031500-7f3a/4
    expect: {nvidia-driver: 595.91.07}
"""

RETURN = r"""
knowngood:
  description: What became of each node.
  returned: always
  type: dict
  contains:
    verb: {description: What was asked., type: str}
    dry_run: {description: Whether it was only tried., type: bool}
    done: {description: Nodes that are as asked., type: list, elements: str}
    failed: {description: Why a node failed., type: dict}
    lost: {description: Those of C(failed) whose claim is a newer Lease's., type: list, elements: str}
    given_back: {description: Why a node was given back undrained., type: dict}
    could_not: {description: Those of C(failed) about which the node itself said nothing., type: list, elements: str}
    stripped: {description: Those of C(failed) whose claim somebody removed., type: list, elements: str}
    detail: {description: Figures of each node., type: dict}
    seen: {description: What was measured of a node., type: dict}
    calls: {description: Kubernetes API requests sent., type: int}
"""

CHECKED = ("preflight", "drain")
"""What can say beforehand what it would do."""


def main() -> None:
    """Hand the parameters over; everything else is in knowngood.adapters."""
    module = AnsibleModule(
        argument_spec={
            "verb": {
                "type": "str",
                "required": True,
                "choices": ["preflight", "claim", "drain", "apply", "release", "quarantine"],
            },
            "nodes": {"type": "list", "elements": "str", "required": True},
            "fence": {"type": "str", "required": True},
            "cluster": {"type": "dict", "default": {}},
            "limits": {"type": "dict", "default": {}},
            "expect": {"type": "dict"},
            "movers": {"type": "dict", "default": {}},
            "objects": {"type": "dict", "default": {}},
            "since": {"type": "dict", "default": {}},
            "users": {"type": "list", "elements": "str", "default": ["gpu", "rdma"]},
            "keep": {"type": "bool", "default": False},
            "reasons": {"type": "dict"},
        },
        required_if=[("verb", "apply", ["expect"]), ("verb", "quarantine", ["reasons"])],
        supports_check_mode=True,
    )
    if perform is None:
        module.fail_json(msg=missing_required_lib("knowngood"))
    verb = module.params["verb"]
    if module.check_mode and verb not in CHECKED:
        module.exit_json(skipped=True, msg=f"{verb} can't be tried in check mode")
    result = perform(verb, module.params, dry_run=module.check_mode)
    if result.pop("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
