"""What the files that a plan for one cluster rests on say, as digests by name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

PARTS = ("components", "edges", "profiles", "releases", "rules")
"""Evidence and other clusters' files change with every run elsewhere, and no plan of this one is another for it."""


def contents(matrix: Path, cluster: str) -> Mapping[str, str]:
    """File of the matrix (`matrix/releases/r595.yaml`) -> sha256 (hex) of its bytes."""
    found = [path for part in PARTS for path in (matrix / part).rglob("*.yaml")]
    found.append(matrix / "clusters" / f"{cluster}.yaml")
    return {
        f"{matrix.name}/{path.relative_to(matrix)}": hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(found)
        if path.is_file()
    }
