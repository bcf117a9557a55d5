"""Whether images can be pulled from a registry or its mirrors, as nodes would: asked of the registry, nothing pulled.

Protocol: OCI distribution specification 1.1 and the Docker token protocol. Mirrors: ImageDigestMirrorSet counts for
digests, ImageTagMirrorSet for tags (openshift/machine-config-operator docs/ImageMirrorSetDesign.md). A credential goes
to the host that it is for, and to the token service which that host names over TLS; it is in no message.
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from knowngood.model.values import Values
from knowngood.ports.registry import Images

TIMEOUT = 10.0  # seconds a request
MAX_BYTES = 4 << 20  # of a manifest
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_REFERENCE = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(?::\d{1,5})?)/(?P<name>[a-z0-9]+(?:[._/-]+[a-z0-9]+)*)"
    r"(?::(?P<tag>[\w][\w.-]{0,127}))?(?:@(?P<digest>sha256:[0-9a-f]{64}))?$"
)
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class Reference:
    """An image as a node pulls it. With a digest the tag does not count."""

    host: str
    name: str
    tag: str = ""
    digest: str = ""

    @property
    def source(self) -> str:
        """The repository with its host: what a mirror set names."""
        return f"{self.host}/{self.name}"

    @property
    def wanted(self) -> str:
        """The digest, or else the tag."""
        return self.digest or self.tag or "latest"

    def at(self, repository: str) -> Reference:
        """The same image in another repository, `host/name`."""
        host, _, name = repository.partition("/")
        return Reference(host, name, self.tag, self.digest)


@dataclass(frozen=True, slots=True)
class Mirror:
    """One entry of a mirror set. `only`: the source itself is never contacted."""

    source: str
    mirrors: tuple[str, ...]
    only: bool = False


@dataclass(frozen=True, slots=True)
class Mirrors:
    """A cluster's mirror sets; `insecure`: hosts that are spoken to without TLS where it fails."""

    digests: tuple[Mirror, ...] = ()
    tags: tuple[Mirror, ...] = ()
    insecure: frozenset[str] = frozenset()

    def places(self, wanted: Reference) -> list[Reference]:
        """Where a node looks, in order."""
        entries = self.digests if wanted.digest else self.tags
        fitting = [
            m for m in entries if wanted.source == m.source or wanted.source.startswith(f"{m.source}/")
        ]
        if not fitting:
            return [wanted]
        longest = max(len(m.source) for m in fitting)
        closest = [m for m in fitting if len(m.source) == longest]
        rest = wanted.source[longest:]
        found = [wanted.at(f"{mirror}{rest}") for m in closest for mirror in m.mirrors]
        return found if any(m.only for m in closest) else [*found, wanted]


def _private(url: str) -> bool:
    """Whether nobody between here and there can read what is sent: TLS, or this very machine."""
    place = urllib.parse.urlsplit(url)
    return place.scheme == "https" or place.hostname in ("127.0.0.1", "::1", "localhost")


class MissingError(Exception):
    """The registry says that there is no such image."""


class UntoldError(Exception):
    """Nobody could tell."""


@dataclass
class OciRegistry:
    """Asks registries. `logins`: host, or host/path, -> base64 of user:password, as a pull secret has them."""

    mirrors: Mirrors = field(default_factory=Mirrors)
    logins: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout: float = TIMEOUT

    def __post_init__(self) -> None:
        self._opener = urllib.request.build_opener(_NoRedirect())
        self._tokens: dict[tuple[str, str], str] = {}
        self._silent: dict[str, str] = {}  # hosts that do not answer, and why: each costs its time-outs once

    def look_for(self, images: Mapping[str, str]) -> Images:
        """Look for images: each with the architectures that must be there, blank-separated (amd64, arm64); "": any."""
        missing, unproven = {}, {}
        for image, machines in images.items():
            try:
                self._image(image, machines.split())
            except MissingError as error:
                missing[image] = str(error)
            except UntoldError as error:
                unproven[image] = str(error)
        return Images(missing, unproven)

    def _image(self, image: str, machines: Sequence[str]) -> None:
        wanted = parse(image)
        gone, untold = [], []
        for place in self.mirrors.places(wanted):
            try:
                self._manifest(place, machines)
            except MissingError as error:
                gone.append(f"{place.source}: {error}")
            except UntoldError as error:
                untold.append(f"{place.source}: {error}")
            else:
                return
        if untold:
            raise UntoldError("; ".join(untold))
        raise MissingError("; ".join(gone))

    def _manifest(self, place: Reference, machines: Sequence[str]) -> None:
        kind, manifest = self._get(place, f"manifests/{place.wanted}")
        if kind in INDEXES:
            there = {
                str((m.get("platform") or {}).get("architecture")) for m in manifest.get("manifests") or ()
            }
            if lacking := [m for m in machines if m not in there]:
                raise MissingError(f"{place.wanted} is there, but not for {', '.join(lacking)}")
        elif kind not in MANIFESTS or not (digest := str((manifest.get("config") or {}).get("digest") or "")):
            raise UntoldError("it answers something else than a manifest")
        elif machines:
            _, config = self._get(place, f"blobs/{digest}")
            if lacking := [m for m in machines if m != config.get("architecture")]:
                raise MissingError(
                    f"{place.wanted} is for {config.get('architecture')}, not {', '.join(lacking)}"
                )

    def _get(self, place: Reference, what: str) -> tuple[str, Values]:
        """Content type and JSON document."""
        schemes = ("https", "http") if place.host in self.mirrors.insecure else ("https",)
        trouble = self._silent.get(place.host, "")
        for scheme in () if trouble else schemes:
            url = f"{scheme}://{place.host}/v2/{place.name}/{what}"
            try:
                return self._asked(url, place)
            except (OSError, http.client.HTTPException) as error:
                trouble = f"it does not answer: {getattr(error, 'reason', error)}"
        self._silent[place.host] = trouble
        raise UntoldError(trouble)

    def _asked(self, url: str, place: Reference) -> tuple[str, Values]:
        headers = {"Accept": ", ".join((*INDEXES, *MANIFESTS))}
        if token := self._tokens.get((place.host, place.name)):
            headers["Authorization"] = token
        try:
            return self._read(url, headers)
        except urllib.error.HTTPError as error:
            if error.code == 401 and not token:
                self._tokens[place.host, place.name] = self._login(
                    error.headers.get_all("WWW-Authenticate"), url, place
                )
                return self._asked(url, place)
            raise _said(error) from None

    def _read(self, url: str, headers: Mapping[str, str]) -> tuple[str, Values]:
        request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 (http or https, composed above)
        with self._opener.open(request, timeout=self.timeout) as answer:
            body = answer.read(MAX_BYTES + 1)
            kind = str(answer.headers.get("Content-Type") or "").partition(";")[0].strip()
        try:
            found = json.loads(body) if len(body) <= MAX_BYTES else None
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise UntoldError("it answers something else than a manifest")
        return kind, found

    def _login(self, challenges: Sequence[str] | None, url: str, place: Reference) -> str:
        """The Authorization that the registry asks for."""
        login = self._login_for(place) if _private(url) else ""
        for challenge in challenges or ():
            kind, _, rest = challenge.partition(" ")
            if kind.lower() == "basic" and login:
                return f"Basic {login}"
            if kind.lower() == "bearer":
                return f"Bearer {self._token(dict(_CHALLENGE.findall(rest)), url, login)}"
        raise UntoldError("it asks for a login, and the pull secret has none for it")

    def _token(self, challenge: Mapping[str, str], url: str, login: str) -> str:
        realm = urllib.parse.urlsplit(challenge.get("realm", ""))
        safe = _private(realm.geturl()) or (
            realm.scheme == "http" and url.startswith("http://") and not login
        )
        if not safe or not realm.netloc:
            raise UntoldError("it names a token service without TLS")
        query = urllib.parse.urlencode({k: v for k, v in challenge.items() if k in ("service", "scope")})
        headers = {"Authorization": f"Basic {login}"} if login else {}
        try:
            _, found = self._read(f"{realm.geturl()}?{query}", headers)
        except urllib.error.HTTPError as error:
            raise UntoldError(f"its token service answers {error.code}") from None
        token = found.get("token") or found.get("access_token")
        if not isinstance(token, str):
            raise UntoldError("its token service gave no token")
        return token

    def _login_for(self, place: Reference) -> str:
        """The closest entry of the pull secret: for the repository, one of its folders, or the host."""
        path = place.source
        while path:
            if path in self.logins:
                return self.logins[path]
            path = path.rpartition("/")[0]
        return ""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Elsewhere a credential is nobody's business; what is redirected is told as not proven."""

    def redirect_request(self, *_args: Any) -> None:
        """Follow nothing."""


def parse(image: str) -> Reference:
    """An image reference with its host. UntoldError where there is none, or it can't be read."""
    match = _REFERENCE.match(image)
    if match is None or not re.search(r"[.:]|^localhost$", match["host"]):
        raise UntoldError("it names no registry, so which one a node asks is its own affair")
    return Reference(match["host"], match["name"], match["tag"] or "", match["digest"] or "")


def logins(pull_secret: str) -> dict[str, str]:
    """Host -> base64 of user:password out of a .dockerconfigjson; an entry that can't be read is left out."""
    try:
        auths = json.loads(pull_secret)["auths"]
        entries = [(str(host), entry) for host, entry in auths.items() if isinstance(entry, Mapping)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
    return {
        re.sub(r"^https?://|/v[12]/?$|/$", "", host): found
        for host, entry in entries
        if (found := _auth(entry))
    }


def mirrors_of(sets: Sequence[Values]) -> Iterator[Mirror]:
    """The entries of an ImageDigestMirrorSet, an ImageTagMirrorSet or an older ImageContentSourcePolicy."""
    for one in sets:
        spec = one.get("spec") or {}
        for key in ("imageDigestMirrors", "imageTagMirrors", "repositoryDigestMirrors"):
            for entry in spec.get(key) or ():
                only = entry.get("mirrorSourcePolicy") == "NeverContactSource"
                yield Mirror(str(entry["source"]), tuple(map(str, entry.get("mirrors") or ())), only)


def _auth(entry: Values) -> str:
    if entry.get("auth"):
        return str(entry["auth"])
    if entry.get("username"):
        return base64.b64encode(f"{entry['username']}:{entry.get('password', '')}".encode()).decode()
    return ""


def _said(error: urllib.error.HTTPError) -> Exception:
    """What a status says: only 404 says that it is not there."""
    if error.code == 404:
        return MissingError("it is not there (404)")
    if error.code in (401, 403):
        return UntoldError(f"access is denied ({error.code}): it may be there or not")
    if 300 <= error.code < 400:
        return UntoldError(f"it is redirected elsewhere ({error.code})")
    return UntoldError(f"the registry answers {error.code}")
