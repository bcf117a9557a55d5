"""Git and what follows it: the GitOps repository, its rendering, Argo CD, and the matrix's own repository.

Serves ports.gitops, ports.delivery and ports.promotion.
"""
