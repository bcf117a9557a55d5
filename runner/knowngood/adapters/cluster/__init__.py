"""What is read of a cluster: nodes as they are measured, tenants' work, who else acts. Changes nothing.

Serves ports.bmcs, ports.cluster and ports.readiness.
"""
