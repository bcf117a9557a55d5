"""catalogd behind its Service: the documents of a catalog, one after the other, by schema and package."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from aiohttp import web

from knowngood.twin.values import Values

NAME = "catalogd"


class Catalogd:
    """All catalogs of a cluster, by name. `silent`: it is there and does not answer, as without its feature gate."""

    def __init__(self) -> None:
        self.catalogs: Mapping[str, Sequence[Values]] = {}
        self.silent = False

    def answer(self, method: str, rest: Sequence[str], query: Mapping[str, str]) -> web.Response:
        """Answer a request to the path `rest`."""
        match method, tuple(rest):
            case "GET", ("catalogs", name, "api", "v1", "metas") if name in self.catalogs and not self.silent:
                found = [d for d in self.catalogs[name] if _asked(d, query)]
                text = "".join(f"{json.dumps(dict(d))}\n" for d in found)
                return web.Response(text=text, content_type="application/jsonl")
        return web.Response(status=404, text="404 page not found")


def _asked(document: Values, query: Mapping[str, str]) -> bool:
    return all(document.get(key) == value for key, value in query.items())
