"""Programs that we start: under a supervisor that leaves nothing behind, Ansible above all, and Git's commands.

Serves ports.nodes, whose verbs are playbooks, and ports.machine, which they run on.
"""
