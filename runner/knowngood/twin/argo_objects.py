"""What Argo CD's cluster holds at the start: the project that it makes itself, and the Applications."""

from __future__ import annotations

from knowngood.twin.seed import Seed
from knowngood.twin.values import Object


def default_project(space: str) -> Object:
    """The AppProject that Argo CD makes when it starts: it allows everything, at any time."""
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "AppProject",
        "metadata": {"name": "default", "namespace": space},
        "spec": {
            "sourceRepos": ["*"],
            "destinations": [{"server": "*", "namespace": "*"}],
            "clusterResourceWhitelist": [{"group": "*", "kind": "*"}],
        },
    }


def application(seed: Seed, name: str, space: str, path: str) -> Object:
    """An Argo CD Application with automated sync, prune and self-heal."""
    assert seed.gitops is not None  # noqa: S101 (the caller looks at its applications)
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Application",
        "metadata": {"name": name, "namespace": space},
        "spec": {
            "project": "default",
            "source": {
                "repoURL": seed.gitops.repo,
                "path": path,
                "targetRevision": seed.gitops.branch,
            },
            "destination": {
                "server": "https://kubernetes.default.svc",
                "namespace": seed.gpu_operator.namespace,
            },
            "syncPolicy": {"automated": {"prune": True, "selfHeal": True}},
        },
    }
