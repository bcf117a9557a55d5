#!/usr/bin/python
# Copyright: the knowngood authors
# Apache-2.0 (see LICENSE)
"""Approve what a commit asked for once a cluster, or take it back."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule, missing_required_lib

try:
    from knowngood.adapters.movers.fleet_act import perform
except ImportError:
    perform = None

DOCUMENTATION = r"""
module: operator
short_description: approve an operator's version that Git declares, or bring the one before back
description:
  - Both verbs are idempotent, and wait until the live object carries what Git declares of O(after).
  - Nothing that Git owns is changed. A Subscription that is deleted on the way back is made anew by Argo CD.
author: The knowngood authors
options:
  verb:
    description:
      - C(approve) approves the one InstallPlan that the Subscription refers to, only if it carries O(after) and nothing
        else.
      - C(back) deletes the newer ClusterServiceVersion, then the Subscription, each as the object that was looked at,
        waits until Argo CD has made the Subscription anew, and approves the plan of O(after), the older version.
    type: str
    required: true
    choices: [approve, back]
  component:
    description: What moves.
    type: str
    required: true
  before:
    description: The version that it comes from; on the way back the newer one.
    type: str
    required: true
  after:
    description: The version that it comes to, which Git declares already.
    type: str
    required: true
  mover:
    description: How it moves, as its component file has it.
    type: dict
    required: true
  object:
    description: The Subscription that declares it, C(apiVersion), C(kind), C(name) and C(namespace).
    type: dict
    required: true
  reinstall:
    description: Whether C(approve) removes the operator and installs O(after), where no catalog offers it as an update.
    type: bool
    default: false
  key:
    description: Who does it, C(<run>/...), and the same at each try. Another run's Lease stops it.
    type: str
    required: true
  namespaces:
    description: Operators' namespaces, by their components; those that are not named are the default ones.
    type: dict
    default: {}
  limits:
    description: Deadlines in seconds; C(apply) for all of it, C(operand_age) for one state.
    type: dict
    default: {}
requirements:
  - knowngood in the Python that runs the module
  - a kubeconfig in the environment variable KUBECONFIG
"""

EXAMPLES = r"""
- name: Approve the GPU Operator's new version
  knowngood.fleet.operator:
    verb: approve
    component: gpu-operator
    before: 26.3.3
    after: 26.7.0
    mover: "{{ (lookup('file', 'matrix/components/gpu-operator.yaml') | from_yaml).mover }}"
    object:
      apiVersion: operators.coreos.com/v1alpha1
      kind: Subscription
      name: gpu-operator-certified
      namespace: nvidia-gpu-operator
    key: alice-20261129/0
"""

RETURN = r"""
knowngood:
  description: What became of it.
  returned: always
  type: dict
  contains:
    done: {description: "What was done, empty where nothing was to be done.", type: str}
    end: {description: "How it ended badly: refused, lock held, usage or could not.", type: str}
    why: {description: Why it ended badly., type: str}
    hint: {description: What to do next., type: str}
    calls: {description: Kubernetes API requests sent., type: int}
"""


def main() -> None:
    """Hand the parameters over; everything else is in knowngood.adapters."""
    module = AnsibleModule(
        argument_spec={
            "verb": {"type": "str", "required": True, "choices": ["approve", "back"]},
            "component": {"type": "str", "required": True},
            "before": {"type": "str", "required": True},
            "after": {"type": "str", "required": True},
            "mover": {"type": "dict", "required": True},
            "object": {"type": "dict", "required": True},
            "reinstall": {"type": "bool", "default": False},
            "namespaces": {"type": "dict", "default": {}},
            "key": {"type": "str", "required": True, "no_log": False},
            "limits": {"type": "dict", "default": {}},
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
