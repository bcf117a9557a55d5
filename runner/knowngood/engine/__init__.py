"""A run as a list of verbs over ports.

`flow` says, purely, what comes next; `verbs` does it through the ports; `engine` writes the journal around it.
Nothing here knows Kubernetes, Git or Ansible.
"""
