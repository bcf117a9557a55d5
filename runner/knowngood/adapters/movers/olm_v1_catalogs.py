"""What ClusterCatalogs offer, as catalogd serves it behind the API server's service proxy.

`api/v1/metas` of catalogd's HTTP API, one JSON document after the other: the bundles and channels of one package.
Which catalogs and bundles count, and when nothing is resolved: operator-framework/operator-controller
internal/operator-controller/resolve/catalog.go and catalogmetadata/client.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

from knowngood.adapters.kubernetes.client import ApiError, Kube, Object, path
from knowngood.model.errors import Unreachable
from knowngood.model.values import Values
from knowngood.planner.holding import matches

API = "olm.operatorframework.io/v1"
SERVING, OFF = "Serving", "Unavailable"
PACKAGE, METADATA, MANIFEST = "olm.package", "olm.csv.metadata", "olm.bundle.object"
BUNDLE, CHANNEL, DEPRECATIONS = "olm.bundle", "olm.channel", "olm.deprecations"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A version that a catalog offers. `owned`: definition -> the versions that it brings of it."""

    version: str
    owned: Mapping[str, frozenset[str]]
    channels: frozenset[str] = frozenset()
    deprecated: bool = False


def chosen(kube: Kube, extension: Values) -> list[Object]:
    """The catalogs in which an extension looks for its package: all that are not off, without a selector."""
    selector = extension["spec"]["source"]["catalog"].get("selector") or {}
    return [
        c
        for c in kube.list(path(API, "clustercatalogs"))
        if c["spec"].get("availabilityMode") != OFF and matches(selector, c["metadata"].get("labels") or {})
    ]


def serving(catalog: Values) -> bool:
    """Whether it says that its content can be had."""
    conditions = (catalog.get("status") or {}).get("conditions") or ()
    return any(c.get("type") == SERVING and c.get("status") == "True" for c in conditions)


def bundles(kube: Kube, catalog: Values, package: str) -> dict[str, Bundle]:
    """Version -> what it brings, in whatever channel. Unreachable where the catalog's content could not be had."""
    base = str(((catalog.get("status") or {}).get("urls") or {}).get("base") or "")
    at = urlsplit(base)
    service, _, rest = (at.hostname or "").partition(".")
    if not service or not rest:
        raise Unreachable(f"ClusterCatalog {catalog['metadata']['name']} names no address of its content")
    name = f"{at.scheme}:{service}:{at.port or (443 if at.scheme == 'https' else 80)}"
    asked = urlencode({"package": package})
    where = path("v1", "services", name, rest.partition(".")[0], "proxy")
    try:
        body = kube.raw("GET", f"{where}{at.path.rstrip('/')}/api/v1/metas?{asked}")
        return _offers([*_documents(body.decode("utf-8", "replace"))])
    except (ApiError, ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
        raise Unreachable(
            f"catalogd does not tell what {catalog['metadata']['name']} offers: {error}"
        ) from error


def _offers(documents: Sequence[Values]) -> dict[str, Bundle]:
    """What the documents of one package say together."""
    channels: dict[str, set[str]] = {}
    deprecated: set[str] = set()
    for one in documents:
        if one["schema"] == CHANNEL:
            for entry in one["entries"]:
                channels.setdefault(entry["name"], set()).add(str(one["name"]))
        elif one["schema"] == DEPRECATIONS:
            about = [entry["reference"] for entry in one["entries"]]
            deprecated |= {ref["name"] for ref in about if ref["schema"] == BUNDLE}
    found = {}
    for one in documents:
        if one["schema"] == BUNDLE:
            bundle = _bundle(one, channels.get(one["name"], ()), deprecated=one["name"] in deprecated)
            found[bundle.version] = bundle
    return found


def _documents(text: str) -> Iterator[Object]:
    """JSON documents, one after the other."""
    decoder, at = json.JSONDecoder(), 0
    while (at := _next(text, at)) < len(text):
        document, at = decoder.raw_decode(text, at)
        yield document


def _next(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _bundle(document: Values, channels: Iterable[str], *, deprecated: bool) -> Bundle:
    properties = [(p["type"], p["value"]) for p in document.get("properties") or ()]
    version = next(str(value["version"]) for kind, value in properties if kind == PACKAGE)
    owned: dict[str, set[str]] = {}
    for kind, value in properties:
        for one in _owned(kind, value):
            owned.setdefault(str(one["name"]), set()).add(str(one["version"]))
    brings = {name: frozenset(versions) for name, versions in owned.items()}
    return Bundle(version, brings, frozenset(channels), deprecated)


def _owned(kind: str, value: Values) -> Iterator[Values]:
    """The definitions that a bundle says it owns: in its metadata, or in the ClusterServiceVersion itself."""
    if kind == METADATA:
        yield from (value.get("customResourceDefinitions") or {}).get("owned") or ()
    if kind == MANIFEST:
        manifest = json.loads(base64.b64decode(value["data"]))
        if manifest.get("kind") == "CustomResourceDefinition":
            for version in manifest["spec"]["versions"]:
                yield {"name": manifest["metadata"]["name"], "version": version["name"]}
