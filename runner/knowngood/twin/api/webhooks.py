"""Validating webhooks of operators that live in the API server's process: asked when an object has passed its schema.

Each is a function from the object as it would be to a Denial, or None. What they refuse reads as the API server words
it, with the code that the webhook chose: 403, or 422 where it names fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from knowngood.twin.api.errors import ApiError, invalid
from knowngood.twin.api.resources import ResourceType
from knowngood.twin.values import Object


@dataclass(frozen=True, slots=True)
class Denial:
    """Why a webhook refuses. causes: the fields that are wrong, as in an `invalid` answer; else `why` says it."""

    webhook: str
    why: str = ""
    causes: tuple[Object, ...] = ()


Webhook = Callable[[Object], Denial | None]
Webhooks = Mapping[tuple[str, str], Webhook]
"""By apiVersion and kind."""


def review(webhooks: Webhooks, resource: ResourceType, obj: Object) -> None:
    """Ask the kind's webhook; ApiError where it denies."""
    webhook = webhooks.get((resource.api_version, resource.kind))
    denial = webhook(obj) if webhook else None
    if denial is None:
        return
    name = obj["metadata"]["name"]
    said = f'admission webhook "{denial.webhook}" denied the request'
    if denial.causes:
        refusal = invalid(resource.kind, resource.group, name, denial.causes)
        raise ApiError(refusal.code, refusal.reason, f"{said}: {refusal.message}", details=refusal.details)
    raise ApiError(403, "Forbidden", f"{said}: {denial.why}")
