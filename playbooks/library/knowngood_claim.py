#!/usr/bin/python
# Copyright: the knowngood authors
# Apache-2.0 (see LICENSE)
"""Claim quiet nodes."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from knowngood.adapters.movers.node_work import perform
except ImportError:
    perform = None

DOCUMENTATION = r"""
module: knowngood_claim
short_description: claim, snapshot, taint and cordon nodes
description:
  - One conditional patch a node. A node somebody else works on is in C(failed).
author: The knowngood authors
options:
  nodes:
    description: The batch's nodes.
    type: list
    elements: str
    required: true
  fence:
    description: The claim's value, C(<run>/<lease transitions>).
    type: str
    required: true
  cluster:
    description: The cluster file's values.
    type: dict
    default: {}
  limits:
    description: Deadlines in seconds, by verb.
    type: dict
    default: {}
requirements:
  - knowngood in the Python that runs the module
  - a kubeconfig in the environment variable KUBECONFIG
"""

EXAMPLES = r"""
- name: Claim quiet nodes
  knowngood_claim:
    nodes: [gpu-1, gpu-2]
    fence: r20260822-031500-7f3a/4
"""

RETURN = r"""
knowngood:
  description: What became of each node.
  returned: always
  type: dict
  contains:
    done: {description: Nodes that are as asked., type: list, elements: str}
    failed: {description: Why a node failed., type: dict}
    lost: {description: Those of C(failed) whose claim is a newer Lease's., type: list, elements: str}
    given_back: {description: Why a node was given back undrained., type: dict}
    detail: {description: Figures of each node., type: dict}
    seen: {description: What was measured of a node., type: dict}
    calls: {description: Kubernetes API requests sent., type: int}
"""


def main() -> None:
    """Hand the parameters over; everything else is in knowngood.adapters."""
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "str", "required": True},
            "fence": {"type": "str", "required": True},
            "cluster": {"type": "dict", "default": {}},
            "limits": {"type": "dict", "default": {}},
        },
        supports_check_mode=False,
    )
    if perform is None:
        module.fail_json(msg=missing_required_lib("knowngood"))
    result = perform("claim", module.params)
    if result.pop("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
