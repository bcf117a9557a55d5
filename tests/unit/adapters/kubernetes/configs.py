"""A kubeconfig as a team has it, with one thing changed."""

from __future__ import annotations

import base64
import ssl
from pathlib import Path
from typing import Any

import yaml

DER = b"not a real certificate, but bytes"
PEM = ssl.DER_cert_to_PEM_cert(DER)


def config(**user: Any) -> dict[str, Any]:
    cluster = {
        "server": "https://api.example.com:6443/",
        "certificate-authority-data": base64.b64encode(PEM.encode()).decode(),
    }
    return {
        "current-context": "ams",
        "contexts": [
            {"name": "ams", "context": {"cluster": "c", "user": "u"}},
            {"name": "other", "context": {"cluster": "gone", "user": "u"}},
        ],
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "secret-token", **user}}],
    }


def write(tmp_path: Path, content: Any) -> Path:
    path = tmp_path / "kubeconfig"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path
