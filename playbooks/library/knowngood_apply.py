#!/usr/bin/python
# Copyright: the knowngood authors
# Apache-2.0 (see LICENSE)
"""Restart the driver on drained nodes."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from knowngood.adapters.movers.node_work import perform
except ImportError:
    perform = None

DOCUMENTATION = r"""
module: knowngood_apply
short_description: restart the driver pod and wait for a new module load
description:
  - Waits for the module load in the kernel log and for the operands, with an age limit per state.
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
  expect:
    description: The version to run, by component.
    type: dict
    required: true
requirements:
  - knowngood in the Python that runs the module
  - a kubeconfig in the environment variable KUBECONFIG
"""

EXAMPLES = r"""
- name: Restart the driver on drained nodes
  knowngood_apply:
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
            "expect": {"type": "dict", "required": True},
        },
        supports_check_mode=False,
    )
    if perform is None:
        module.fail_json(msg=missing_required_lib("knowngood"))
    result = perform("apply", module.params)
    if result.pop("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
