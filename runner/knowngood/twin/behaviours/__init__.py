"""The controllers, kubelets and operators of the twin: ordinary clients of the API."""
