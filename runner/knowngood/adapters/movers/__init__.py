"""What makes a node run another version, one file a class of component, and the dispatch that our Ansible modules call.

Serves the verb `apply` of ports.nodes, and ports.fleet for what is declared once for all nodes.
"""
