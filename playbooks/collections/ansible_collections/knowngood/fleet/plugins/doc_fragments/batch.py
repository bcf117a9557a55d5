# Copyright: the knowngood authors
# Apache-2.0 (see LICENSE)
"""What every verb is told of its batch."""

from __future__ import annotations


class ModuleDocFragment:
    """Options that a play says once, by C(module_defaults)."""

    DOCUMENTATION = r"""
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
