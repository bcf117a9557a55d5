"""The proxy on the way to an API server: the kubeconfig's `proxy-url`, else the environment's, as kubectl takes it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

from urllib3.util import make_headers

from knowngood.model.errors import UsageError


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that is asked to CONNECT; TLS is spoken with the API server itself, through it."""

    host: str
    port: int
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def url(self) -> str:
        """Without its user: fit to be shown."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def headers(self) -> Mapping[str, str]:
        """What the proxy itself is told."""
        if not self.user:
            return {}
        return dict(make_headers(proxy_basic_auth=f"{self.user}:{self.password}"))


def of(server: str, named: str, where: str) -> Proxy | None:
    """The way to `server`: `named` by the kubeconfig at `where`, else HTTPS_PROXY unless NO_PROXY; None: directly.

    UsageError for a proxy of a kind that we can't speak with.
    """
    if named:
        return _read(named, "proxy-url", where)
    host = urlsplit(server).hostname or ""
    environment = getproxies_environment()
    if _here(host) or proxy_bypass(host) or _in_network(host, environment.get("no", "")):
        return None
    found = environment.get("https", "")
    return (
        _read(found if "://" in found else f"http://{found}", "HTTPS_PROXY", "environment") if found else None
    )


def _here(host: str) -> bool:
    """This machine: never by the environment's proxy, as Go's net/http has it."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _in_network(host: str, unproxied: str) -> bool:
    """Whether NO_PROXY names the network of an address: OpenShift's own does, and Python doesn't look for that."""
    try:
        address = ip_address(host)
    except ValueError:
        return False
    for entry in unproxied.split(","):
        with contextlib.suppress(ValueError):  # a name
            if "/" in entry and address in ip_network(entry.strip(), strict=False):
                return True
    return False


def _read(url: str, what: str, where: str) -> Proxy:
    hint = "an http:// proxy is wanted, as http://proxy.example:3128"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
    except ValueError as error:
        raise UsageError(f"{what} is no address", where=where, hint=hint) from error
    if parts.scheme != "http":
        raise UsageError(f"{what} of the kind {parts.scheme}:// is not supported", where=where, hint=hint)
    if not host:
        raise UsageError(f"{what} names no host", where=where, hint=hint)
    return Proxy(host, port, unquote(parts.username or ""), unquote(parts.password or ""))
