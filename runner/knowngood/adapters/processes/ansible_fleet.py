"""Playbooks as the acting half of ports.fleet.FleetWork: what is done is a role's, what is read is read here."""

from __future__ import annotations

from knowngood.adapters.kubernetes.client import Kube
from knowngood.adapters.movers.fleet_act import ACTORS, ENDS
from knowngood.adapters.movers.fleet_work import KubeFleet
from knowngood.adapters.processes.ansible import Playbooks
from knowngood.model.errors import CouldNot
from knowngood.model.jsonable import to_json
from knowngood.model.matrix import Cluster
from knowngood.model.mover import Moving, Starts
from knowngood.ports.cancel import Cancel


class AnsibleFleet(KubeFleet):
    """The fleet parts of one run, moved by its playbooks."""

    def __init__(self, kube: Kube, cluster: Cluster, playbooks: Playbooks) -> None:
        super().__init__(kube, cluster)
        self._playbooks = playbooks

    def start(self, moving: Moving, key: str, cancel: Cancel) -> str:
        """See the port."""
        return self._act("approve", moving, key, cancel) if self._acts(moving) else ""

    def back(self, moving: Moving, key: str, cancel: Cancel) -> str:
        """See the port."""
        return self._act("back", moving, key, cancel) if self._acts(moving) else ""

    def _acts(self, moving: Moving) -> bool:
        """Whether a role does it: what its commit starts is followed by the run itself."""
        self._of(moving)
        return moving.spec.kind in ACTORS and moving.spec.starts is Starts.APPROVE

    def _act(self, verb: str, moving: Moving, key: str, cancel: Cancel) -> str:
        """Run the role of the move's class. Raises as the act did; CouldNot where it gave no answer."""
        variables = {
            "knowngood_mover": moving.spec.kind,
            "knowngood_fence": key,
            "knowngood_component": moving.component,
            "knowngood_before": moving.before,
            "knowngood_after": moving.after,
            "knowngood_movers": {moving.component: to_json(moving.spec)},
            "knowngood_object": to_json(moving.declared_by),
            "knowngood_reinstall": moving.reinstall,
        }
        limit = self._cluster.limits.apply
        played = self._playbooks.play(verb, moving.component, variables, limit, cancel)
        answers = [
            a for a in played.heard.answers() if a.get("verb") == verb
        ]  # a team's own role may call others
        bad = next((a for a in answers if "end" in a), None)
        if bad is not None:
            raise ENDS[str(bad["end"])](str(bad["why"]), hint=str(bad["hint"]))
        if played.trouble or not answers:
            raise CouldNot(f"{verb} of {moving.component}: {played.trouble or 'the role said nothing'}")
        return "; ".join(str(a["done"]) for a in answers if a.get("done"))
