"""Asks the API server what we may do, one SelfSubjectAccessReview a right. What it does not say is never a yes."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.model.errors import Interrupted, UsageError
from knowngood.model.finding import Finding, refused, unknown
from knowngood.planner.readiness.rights import Right

REVIEWS = path("authorization.k8s.io/v1", "selfsubjectaccessreviews")
ASKERS = 8  # reviews at the same time
HINT = "grant it as deploy/ does, or run as a user that has it"


def whoami(kube: Kube) -> str:
    """The user that the API server takes us for; "" where it does not say."""
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
    try:
        answer = kube.create(path("authentication.k8s.io/v1", "selfsubjectreviews"), body)
    except ApiError:
        return ""  # before Kubernetes 1.28 nobody answers this
    return str(((answer.get("status") or {}).get("userInfo") or {}).get("username") or "")


def missing(kube: Kube, rights: Sequence[Right]) -> list[Finding]:
    """A finding for each right that we do not have, or of which the API server does not say whether we do."""
    with ThreadPoolExecutor(max_workers=ASKERS) as askers:
        answers = list(askers.map(lambda right: _one(kube, right), rights))
    return [finding for finding in answers if finding is not None]


def _one(kube: Kube, right: Right) -> Finding | None:
    """Everywhere, or where that is no: in each of the namespaces that will do instead."""
    first = _ask(kube, right)
    if first is None or not right.instead:
        return first
    others = (_ask(kube, replace(right, namespace=n)) for n in right.instead)
    return next((finding for finding in others if finding is not None), None)


def _ask(kube: Kube, right: Right) -> Finding | None:
    try:
        answer = kube.create(REVIEWS, _review(right))
    except Interrupted:
        raise
    except (ApiError, UsageError) as error:
        return unknown(f"the right to {right}", f"could not be asked: {error}", error.hint)
    status = answer.get("status") or {}
    allowed, trouble = status.get("allowed"), str(status.get("evaluationError") or "")
    if allowed is True:
        return None
    if allowed is not False or (trouble and not status.get("denied")):
        return unknown(
            f"the right to {right}", f"the API server does not say: {trouble or 'no answer'}", HINT
        )
    return refused(f"no right to {right}", f"a run {right.why} with it", HINT)


def _review(right: Right) -> Object:
    resource, _, subresource = right.resource.partition("/")
    attributes = {
        "verb": right.verb,
        "group": right.group,
        "resource": resource,
        "subresource": subresource,
        "namespace": right.namespace,
        "name": right.name,
    }
    return {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
