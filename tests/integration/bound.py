"""deploy/base applied to a cluster, and a kubeconfig of its runner's ServiceAccount."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from knowngood.adapters.kubernetes.client import ApiError, Kube, path
from knowngood.model import names

ROOT = Path(__file__).parents[2]
RUNNER = "knowngood-runner"
TOKEN_SECONDS = 7200
"""Longer than the default hour: a run on a slow cluster must not end with its token."""


def objects() -> list[dict[str, Any]]:
    """What deploy/base holds."""
    files = sorted((ROOT / "deploy" / "base").glob("*.yaml"))
    return [found for path in files for found in yaml.safe_load_all(path.read_text()) if found]


def bind(kubeconfig: Path, folder: Path) -> Path:
    """Apply deploy/base as whom the kubeconfig names; return a kubeconfig of the runner, in the folder."""
    admin = Kube(kubeconfig)
    for obj in (o for o in objects() if o["kind"] not in {"Kustomization", "Namespace"}):
        where = admin.locate(obj["apiVersion"], obj["kind"], "x", obj["metadata"].get("namespace", ""))
        try:
            admin.create(where.removesuffix("/x"), obj)
        except ApiError as error:
            if error.code != 409:  # on a cluster that lives on it is there from the last time
                raise
    account = path("v1", "serviceaccounts", RUNNER, names.NAMESPACE, "token")
    token = admin.create(account, {"spec": {"expirationSeconds": TOKEN_SECONDS}})["status"]["token"]
    config = yaml.safe_load(kubeconfig.read_text())
    context = next(c for c in config["contexts"] if c["name"] == config["current-context"])["context"]
    user = next(u for u in config["users"] if u["name"] == context["user"])
    user["user"] = {"token": token}
    made = folder / "runner.kubeconfig"
    made.touch(mode=0o600)
    made.write_text(yaml.safe_dump(config))
    return made
