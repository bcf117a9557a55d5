"""Nobody gives away rights that they don't hold: what RBAC asks of who writes roles and bindings."""

from __future__ import annotations

from collections.abc import Iterator

from knowngood.twin.api.attributes import Attributes
from knowngood.twin.api.cluster import Actor
from knowngood.twin.api.errors import forbidden
from knowngood.twin.api.rbac import BINDINGS, CLUSTER_BINDINGS, CLUSTER_ROLES, GROUP, ROLES, Authorizer
from knowngood.twin.api.resources import ResourceType
from knowngood.twin.values import Object


class Escalation:
    """Looks at each role and binding on its way into the store."""

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    def check(self, resource: ResourceType, obj: Object, actor: Actor) -> None:
        """403 where the writer doesn't hold what it grants, nor the right to `escalate` or `bind`."""
        if resource.key not in {ROLES, CLUSTER_ROLES, BINDINGS, CLUSTER_BINDINGS}:
            return
        namespace, name = obj["metadata"].get("namespace", ""), obj["metadata"]["name"]
        if resource.key in {ROLES, CLUSTER_ROLES}:
            rules = obj.get("rules") or []
            pass_by = Attributes("escalate", GROUP, resource.plural, namespace=namespace, name=name)
        else:
            reference = obj["roleRef"]
            rules = self._authorizer.role(namespace, reference) or []
            plural = f"{reference['kind'].lower()}s"
            pass_by = Attributes("bind", GROUP, plural, namespace=namespace, name=reference["name"])
        if self._authorizer.allows(actor, pass_by):
            return
        missing = [act for rule in rules for act in _acts(rule, namespace)]
        missing = [act for act in missing if not self._authorizer.allows(actor, act)]
        if missing:
            groups = ", ".join(f'"{one}"' for one in actor.groups)
            held = "; ".join(f"{act.verb} {act.path or act.what}" for act in missing)
            why = (
                f'user "{actor.user}" (groups=[{groups}]) is attempting to grant RBAC permissions '
                f"not currently held: {held}"
            )
            raise forbidden(resource.plural, resource.group, name, why)


def _acts(rule: Object, namespace: str) -> Iterator[Attributes]:
    """Every single act that a rule allows; `*` stands for itself, which only `*` covers."""
    for verb in rule.get("verbs") or ():
        for path in rule.get("nonResourceURLs") or ():
            yield Attributes(verb, path=path)
        for group in rule.get("apiGroups") or ():
            for what in rule.get("resources") or ():
                resource, _, subresource = what.partition("/")
                for name in rule.get("resourceNames") or ("",):
                    yield Attributes(verb, group, resource, subresource, namespace, name)
