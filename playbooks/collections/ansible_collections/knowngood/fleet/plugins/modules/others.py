#!/usr/bin/python
# Copyright: the knowngood authors
# Apache-2.0 (see LICENSE)
"""Hold others who act on nodes, or let them go."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from knowngood.adapters.nodes.holding_act import perform
except ImportError:
    perform = None

DOCUMENTATION = r"""
module: others
short_description: hold others who act on nodes, or let them go
description:
  - Pauses what acts on the nodes and is there, and writes on each object whose hold it is and until when.
  - Both verbs are idempotent. What somebody else had paused before is neither marked nor let go.
author: The knowngood authors
options:
  verb:
    description:
      - C(hold) pauses those that act on O(nodes). A pool that rolls, and what another run holds, fails and is left.
      - C(let_go) lets all go that the run of O(fence) holds.
    type: str
    required: true
    choices: [hold, let_go]
  fence:
    description: The claim's value, C(<run>/<lease transitions>); by hand a name of your own.
    type: str
    required: true
  nodes:
    description: The nodes that are to be left alone. Needed by O(verb=hold).
    type: list
    elements: str
    default: []
  holds:
    description: Whose work is paused.
    type: list
    elements: str
    default: [machine-config-pool, health-checks]
    choices: [machine-config-pool, health-checks, cluster-autoscaler, alerts]
  alertmanager:
    description: Where C(alerts) are silenced, as in a cluster file. Without it they go on.
    type: dict
    default: {}
  seconds:
    description: How long the hold is needed, for people who find it.
    type: int
    default: 14400
  who:
    description: Who holds, for people who find it.
    type: str
    default: ''
requirements:
  - knowngood in the Python that runs the module
  - a kubeconfig in the environment variable KUBECONFIG
"""

EXAMPLES = r"""
- name: Nobody restarts or rolls gpu-1 meanwhile
  knowngood.fleet.others:
    verb: hold
    nodes: [gpu-1]
    fence: alice-20260822/0

- name: Let them go on
  knowngood.fleet.others:
    verb: let_go
    fence: alice-20260822/0
"""

RETURN = r"""
knowngood:
  description: What became of each object.
  returned: always
  type: dict
  contains:
    done: {description: Objects that are held, or were let go., type: list, elements: str}
    failed: {description: Why an object is not., type: dict}
"""


def main() -> None:
    """Hand the parameters over; everything else is in knowngood.adapters."""
    module = AnsibleModule(
        argument_spec={
            "verb": {"type": "str", "required": True, "choices": ["hold", "let_go"]},
            "fence": {"type": "str", "required": True},
            "nodes": {"type": "list", "elements": "str", "default": []},
            "holds": {
                "type": "list",
                "elements": "str",
                "default": ["machine-config-pool", "health-checks"],
                "choices": ["machine-config-pool", "health-checks", "cluster-autoscaler", "alerts"],
            },
            "alertmanager": {"type": "dict", "default": {}},
            "seconds": {"type": "int", "default": 14400},
            "who": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    if perform is None:
        module.fail_json(msg=missing_required_lib("knowngood"))
    verb = module.params["verb"]
    if module.check_mode:
        module.exit_json(skipped=True, msg=f"{verb} can't be tried in check mode")
    result = perform(verb, module.params)
    if result.pop("failed"):
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
