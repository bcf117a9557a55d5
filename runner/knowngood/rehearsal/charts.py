"""Charts in a rehearsal: the Applications that declare them. What they bring the twin makes up itself. Pure."""

from __future__ import annotations

from knowngood.model.matrix import Declaration
from knowngood.model.values import Object
from knowngood.planner.moving import APPLICATION, CHART
from knowngood.rehearsal.at_rest import AtRest

REGISTRY = "mirror.example.com/charts"
"""Where a rehearsal's charts would be; nothing is ever fetched."""


def application(rest: AtRest, declaration: Declaration) -> Object:
    """The spec of the Application that declares a chart, but for its version: synced by itself, in a namespace."""
    mover = rest.movers.get(declaration.component)
    name = (mover.require.get(APPLICATION, {}) if mover else {}).get(CHART, declaration.component)
    return {
        "project": "default",
        "source": {"repoURL": REGISTRY, "chart": name},
        "destination": {"server": "https://kubernetes.default.svc", "namespace": declaration.component},
        "syncPolicy": {
            "automated": {"prune": True, "selfHeal": True},
            "syncOptions": ["CreateNamespace=true"],
        },
    }
