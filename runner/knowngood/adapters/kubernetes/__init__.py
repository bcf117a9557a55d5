"""The API server: the client, its kubeconfig, exec in a pod, what we may do, the Lease and the runs' checkpoints.

Serves ports.lock and ports.checkpoint; every room above reaches the cluster through it.
"""
