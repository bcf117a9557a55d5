"""What judges a node: gates in a pytest of their own, the probes that they read, and the load beside them.

Serves ports.gates, ports.load and ports.registry.
"""
