"""The program that gives a kubeconfig's credentials: whether it is there, asked before anybody runs it."""

from __future__ import annotations

import shutil
from pathlib import Path

from knowngood.model.errors import UsageError
from knowngood.model.values import Values

GONE = {"gcp": "gke-gcloud-auth-plugin", "azure": "kubelogin"}
"""Auth providers that client-go dropped (Kubernetes 1.26) -> the exec plugin that took their place."""


def refuse_missing(user: Values, path: Path) -> None:
    """UsageError where a user's plugin is not there, with what the kubeconfig itself says of getting it."""
    provider, plugin = user.get("auth-provider"), user.get("exec")
    gone = str(provider.get("name") or "") if isinstance(provider, dict) else ""
    if gone in GONE:
        what = f"auth-provider {gone!r} is gone since Kubernetes 1.26"
        raise UsageError(what, where=str(path), hint=f"log in again, with the exec plugin {GONE[gone]}")
    command = str(plugin.get("command") or "") if isinstance(plugin, dict) else ""
    found = str(path.parent / command) if "/" in command else command
    if command and shutil.which(found) is None:
        says = str(plugin.get("installHint") or "") if isinstance(plugin, dict) else ""
        raise UsageError(
            f"the credential plugin failed: there is no program {command}",
            where=str(path),
            hint=says.strip().partition("\n")[0] or "install it, put it on PATH, or log in by another way",
        )
