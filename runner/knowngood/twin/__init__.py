"""The embedded cluster: a Kubernetes API server, the behaviours of a GPU cluster on top, faults to inject."""
