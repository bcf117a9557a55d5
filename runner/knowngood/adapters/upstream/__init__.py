"""What vendors publish: OpenShift's graph data, OLM catalogs, registries.

Serves ports.registry; the rest is read by `knowngood refresh`.
"""
