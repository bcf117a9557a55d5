"""What we do to a node: look before, claim, hold, drain, release, quarantine, give back by hand.

Serves ports.holds, and the verbs of ports.nodes; the modules of our playbooks call it through `movers`.
"""
