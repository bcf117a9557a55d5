"""The Operator Lifecycle Manager (v0): its controllers, around the catalogs that the seed names."""

from __future__ import annotations

from knowngood.twin.behaviours.context import Controller, Twin
from knowngood.twin.behaviours.olm_catalogs import CatalogSources, Offered
from knowngood.twin.behaviours.olm_plans import Plans
from knowngood.twin.behaviours.olm_subscriptions import Subscriptions
from knowngood.twin.behaviours.olm_versions import ServiceVersions


def controllers(twin: Twin) -> list[Controller]:
    """Where the seed names OLM: all of its controllers, not started yet."""
    offered = Offered(twin.seed.olm.catalogs if twin.seed.olm else {})
    subscriptions = Subscriptions(twin, offered)
    return [CatalogSources(twin, offered), subscriptions, Plans(twin), ServiceVersions(twin)]
