"""The twin's Kubernetes API server: in memory, one event loop, TLS and bearer tokens."""
