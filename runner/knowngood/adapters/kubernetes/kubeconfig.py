"""How to reach an API server: a kubeconfig's current context, read without the generated client.

Importing the `kubernetes` package takes about 0.75 s, which each Ansible module would pay; reading the file takes
none. Only users whose credentials come from a plugin (`exec`, `auth-provider`) are left to that package. A file means
here what it means to kubectl (kubernetes/client-go tools/clientcmd), or is refused by name.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import ssl
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import yaml

from knowngood.adapters.kubernetes import proxy
from knowngood.adapters.kubernetes.plugin import refuse_missing
from knowngood.adapters.kubernetes.proxy import Proxy
from knowngood.model.errors import UsageError
from knowngood.model.values import Values

MAX_BYTES = 1 << 20
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
HINT = "check --kubeconfig or KUBECONFIG"
_IN_HEADERS = "!#$&'*+-.^_`|~"  # RFC 9110: a token's characters beside letters and digits
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Access:
    """One API server and who we are there. `token` is asked before each request; "" sends none."""

    server: str
    where: str  # the file, for messages
    ca: str = ""  # PEM; "" trusts the system's authorities
    verify: bool = True
    server_name: str = ""
    token: Callable[[], str] = field(default=lambda: "", repr=False)
    client_cert: bytes = field(default=b"", repr=False)
    client_key: bytes = field(default=b"", repr=False)
    acting: tuple[tuple[str, str], ...] = ()  # the headers that ask to act as another user
    proxy: Proxy | None = None

    def fingerprint(self) -> str:
        """sha256 (hex) of the CA certificates, as DER, that the server must prove itself by.

        "" where it need not: the kubeconfig names no authority, or says not to verify.
        """
        return hashlib.sha256(self._authorities()).hexdigest() if self.verify and self.ca else ""

    def _authorities(self) -> bytes:
        """The named CA certificates as DER. What is fingerprinted is what is trusted: no other spelling is read."""
        try:
            ders = b"".join(ssl.PEM_cert_to_DER_cert(pem) for pem in _PEM.findall(self.ca))
        except ValueError as error:
            raise UsageError(f"unusable certificate: {error}", where=self.where, hint=HINT) from error
        if not ders:
            raise UsageError("certificate-authority holds no CERTIFICATE", where=self.where, hint=HINT)
        return ders

    def tls(self) -> ssl.SSLContext:
        """What a connection must prove, and our client certificate if there is one. UsageError if it is unusable."""
        try:
            context = ssl.create_default_context(cadata=self._authorities() if self.ca else None)
            if not self.verify:
                context.check_hostname = False
                context.verify_mode = ssl.CERT_NONE
            if self.client_cert:
                with tempfile.TemporaryDirectory() as folder:  # load_cert_chain reads files only
                    pair = Path(folder, "pair.pem")
                    pair.touch(mode=0o600)
                    pair.write_bytes(self.client_cert + b"\n" + self.client_key)
                    context.load_cert_chain(pair)
        except (ssl.SSLError, ValueError) as error:
            raise UsageError(f"unusable certificate: {error}", where=self.where, hint=HINT) from error
        return context


def default_path() -> Path | None:
    """Where KUBECONFIG or kubectl's habit says the kubeconfig is; None: use the pod's service account."""
    if named := os.environ.get("KUBECONFIG", "").strip(os.pathsep):
        return one_of(named)
    habit = Path.home() / ".kube" / "config"
    return habit if habit.exists() else None


def one_of(named: str) -> Path:
    """The file that kubectl would go by among those that KUBECONFIG names; one that is not there is left out.

    Of each name the first file that has it counts. Where the current context's parts lie in several files they are
    brought together in one of our own, readable by its owner alone: a run, its playbooks and a later command go by it.
    UsageError where no context is chosen, or a part of it is nowhere.
    """
    paths = [Path(text).expanduser() for text in named.split(os.pathsep) if text]
    files = {path: _read(path) for path in paths if path.is_file()} if len(paths) > 1 else {}
    if not files:
        return paths[0]
    chosen = next((str(f["current-context"]) for f in files.values() if f.get("current-context")), "")
    if not chosen:
        raise UsageError("no current-context is set", where=named, hint="kubectl config use-context NAME")
    first = _first(files, "contexts", chosen)
    if first is None:
        raise UsageError(f"contexts has no entry {chosen!r}", where=named, hint=HINT)
    used = _named(files[first], "contexts", chosen, "context", first)
    places = {"contexts": (first, chosen)}
    for section, key in (("clusters", "cluster"), ("users", "user")):
        name = str(used.get(key) or "")
        at = _first(files, section, name)
        if at is None:
            raise UsageError(f"{section} has no entry {name!r}", where=named, hint=HINT)
        places[section] = (at, name)
    if {at for at, _ in places.values()} == {first} and files[first].get("current-context") == chosen:
        return first
    parts = {s: [_rooted(files[at], s, name, at)] for s, (at, name) in places.items()}
    return _kept({"apiVersion": "v1", "kind": "Config", "current-context": chosen, **parts}, named)


def _rooted(config: Values, section: str, name: str, path: Path) -> Values:
    """An entry whose files are found from anywhere: client-go reads them beside the file that names them."""
    key = section.removesuffix("s")
    found = dict(_named(config, section, name, key, path))
    for one in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
        if found.get(one):
            found[one] = str((path.parent / str(found[one])).absolute())
    plugin = found.get("exec")
    if isinstance(plugin, dict) and "/" in str(plugin.get("command") or ""):
        found["exec"] = {**plugin, "command": str((path.parent / str(plugin["command"])).absolute())}
    return {"name": name, key: found}


def together() -> Path:
    """The folder of files in which we brought several ones' parts together."""
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local" / "state")
    return Path(state) / "knowngood" / "kubeconfig"


def _kept(config: Values, named: str) -> Path:
    """A file of ours with this in it, the same one for the same files: what it says is written anew each time."""
    file = together() / hashlib.sha256(named.encode()).hexdigest()[:16]
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as new:  # for its owner alone
            yaml.safe_dump(config, new)
        Path(new.name).replace(file)
    except OSError as error:
        raise UsageError(
            f"the parts of context {config['current-context']!r} lie in several files, and can't be brought together"
            f": {error.strerror}",
            where=str(file),
            hint="kubectl config view --flatten > FILE, and name that with --kubeconfig",
        ) from error
    return file


def _first(files: Mapping[Path, Values], section: str, name: object) -> Path | None:
    """The first of the files that has an entry of that name."""
    has = (path for path, f in files.items() for e in _entries(f, section) if e.get("name") == name)
    return next(has, None)


def load(path: Path | None, context: str = "") -> Access:
    """Read a kubeconfig's (current) context; None means the pod's service account. UsageError if it can't be used."""
    if path is None:
        return _in_cluster()
    config = _read(path)
    chosen = context or str(config.get("current-context") or "")
    if not chosen:
        names = ", ".join(str(e.get("name")) for e in _entries(config, "contexts")) or "none"
        hint = f"kubectl config use-context NAME; its contexts: {names}"
        raise UsageError("no current-context is set", where=str(path), hint=hint)
    used = _named(config, "contexts", chosen, "context", path)
    cluster = _named(config, "clusters", str(used.get("cluster") or ""), "cluster", path)
    who = str(used.get("user") or "")
    user = _named(config, "users", who, "user", path)
    server = str(cluster.get("server") or "")
    if not server.startswith("https://"):
        raise UsageError(f"server {server!r} is no https address", where=str(path), hint=HINT)
    if user.get("username") or user.get("password"):
        raise UsageError(
            f"user {who!r} has a name and a password, which API servers don't take since Kubernetes 1.19",
            where=str(path),
            hint="log in again: a token or a certificate is wanted",
        )
    mine = _identity(user, path, chosen, f"user {who!r}")
    return Access(
        server=server.rstrip("/"),
        where=str(path),
        ca=_bytes(cluster, "certificate-authority", path).decode("ascii", "replace"),
        verify=not cluster.get("insecure-skip-tls-verify"),
        server_name=str(cluster.get("tls-server-name") or ""),
        token=mine.token,
        client_cert=mine.cert,
        client_key=mine.key,
        acting=_acting(user, path, f"user {who!r}"),
        proxy=proxy.of(server, str(cluster.get("proxy-url") or ""), str(path)),
    )


def _acting(user: Values, path: Path, who: str) -> tuple[tuple[str, str], ...]:
    """Impersonation (`as`, `as-uid`, `as-groups`, `as-user-extra`): what is asked, is asked as that user."""
    name, uid = str(user.get("as") or ""), str(user.get("as-uid") or "")
    groups = [str(group) for group in user.get("as-groups") or ()]
    extra = {str(key): values or () for key, values in (user.get("as-user-extra") or {}).items()}
    if not name and (uid or groups or extra):
        raise UsageError(
            f"{who} has as-groups, as-uid or as-user-extra, but no `as`", where=str(path), hint=HINT
        )
    found = [("Impersonate-User", name), ("Impersonate-Uid", uid)]
    found += [("Impersonate-Group", group) for group in groups]
    # A key may hold what no header's name may: escaped, as client-go transport/round_trippers.go does it.
    found += [
        (f"Impersonate-Extra-{quote(key.lower(), safe=_IN_HEADERS)}", str(value))
        for key, values in extra.items()
        for value in values
    ]
    if any(not (value.isascii() and value.isprintable()) for _, value in found):
        raise UsageError(f"{who}: `as` holds characters that no header has", where=str(path), hint=HINT)
    return tuple((key, value) for key, value in found if value)


def _read(path: Path) -> Values:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UsageError("a kubeconfig of more than 1 MiB is none", where=str(path), hint=HINT)
        config = yaml.load(path.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 (a safe loader)
    except OSError as error:
        raise UsageError(
            f"can't read the kubeconfig: {error.strerror}", where=str(path), hint=HINT
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise UsageError("the kubeconfig is no YAML", where=where, hint=HINT) from error
    if config is None:  # an empty file is an empty configuration, as to kubectl
        return {}
    if not isinstance(config, dict):
        raise UsageError("the kubeconfig is no mapping", where=str(path), hint=HINT)
    return config


class _LOADER(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """Safe; `!!binary` is text that was written in base64 once more, as it is to kubectl."""


_LOADER.add_constructor(
    "tag:yaml.org,2002:binary",
    lambda loader, node: loader.construct_yaml_binary(node).decode("utf-8", "replace"),
)


def _entries(config: Values, section: str) -> list[Values]:
    """Its entries; what is none is passed over, so that a name is never found in it."""
    found = config.get(section)
    return [e for e in found if isinstance(e, dict)] if isinstance(found, list) else []


def _named(config: Values, section: str, name: str, key: str, path: Path) -> Values:
    for entry in _entries(config, section):
        if entry.get("name") == name:
            found = entry.get(key) or {}
            if not isinstance(found, dict):
                raise UsageError(f"{key} {name!r} is no mapping", where=str(path), hint=HINT)
            return found
    raise UsageError(f"{section} has no entry {name!r}", where=str(path), hint=HINT)


def _bytes(values: Values, key: str, path: Path) -> bytes:
    """A certificate or key: from `<key>-data`, else from the file `<key>`, else nothing."""
    try:
        if values.get(f"{key}-data"):
            text = str(values[f"{key}-data"]).replace("\n", "").replace("\r", "")  # as Go reads base64
            return base64.b64decode(text, validate=True)
        if values.get(key):
            return (path.parent / str(values[key])).read_bytes()
    except OSError as error:
        raise UsageError(f"{key}: {error.strerror}: {error.filename}", where=str(path), hint=HINT) from error
    except (binascii.Error, ValueError) as error:  # ValueError: it is not even ASCII
        raise UsageError(f"{key}-data is no base64", where=str(path), hint=HINT) from error
    return b""


class _Identity(NamedTuple):
    """Who we are: a token that is asked before each request, or a client certificate with its key."""

    token: Callable[[], str]
    cert: bytes = b""
    key: bytes = b""


def _identity(user: Values, path: Path, context: str, who: str) -> _Identity:
    if "exec" in user or "auth-provider" in user:
        refuse_missing(user, path)
        return _by_plugin(path, context, who)
    cert, key = (_bytes(user, name, path) for name in ("client-certificate", "client-key"))
    if user.get("tokenFile"):  # goes before a token beside it
        return _Identity(_file_token(path.parent / str(user["tokenFile"]), who), cert, key)
    token = _clean(str(user.get("token") or ""), f"{who}: the token", path)
    return _Identity(lambda: token, cert, key)


def _clean(token: str, what: str, where: Path) -> str:
    """A token without the blanks around it. One that fits no HTTP header is refused here, without its value.

    The HTTP client would refuse it too, but quote it.
    """
    token = token.strip()
    if not (token.isascii() and token.isprintable()):
        raise UsageError(
            f"{what} holds characters that no token has", where=str(where), hint="is it all on one line?"
        )
    return token


def _file_token(path: Path, who: str) -> Callable[[], str]:
    """Read at each use: a mounted token is renewed under us."""

    def read() -> str:
        try:
            text = path.read_bytes().decode("ascii", "replace")
        except OSError as error:
            raise UsageError(f"can't read the token: {error.strerror}", where=str(path), hint=HINT) from error
        return _clean(text, f"{who}: the token", path)

    return read


def _by_plugin(path: Path, context: str, who: str) -> _Identity:
    """Leave credential plugins, and the refreshing of tokens that they return, to the official client.

    A certificate is asked once: a run that outlives it is refused by the server, and resumed.
    """
    from kubernetes import client, config  # noqa: PLC0415 (0.75 s, needed only here)

    settings = client.Configuration()
    try:
        config.load_kube_config(str(path), context=context, client_configuration=settings)
    except Exception as error:
        raise _plugin_failed(path, type(error).__name__) from error

    def ask() -> str:
        for name in ("BearerToken", "authorization"):
            if name in settings.api_key:
                value = str(settings.get_api_key_with_prefix(name) or "")
                return _clean(value.removeprefix("Bearer "), f"{who}: the credential plugin's token", path)
        return ""

    cert, key = (_written_by_plugin(name, path) for name in (settings.cert_file, settings.key_file))
    if not ask() and not (cert and key):  # the official client logs a plugin's failure and goes on without
        raise _plugin_failed(path, "it gave no token and no certificate")
    return _Identity(ask, cert, key)


def _written_by_plugin(file: str | None, path: Path) -> bytes:
    """What the official client wrote down of a certificate that a plugin gave."""
    try:
        return Path(file).read_bytes() if file else b""
    except OSError as error:
        raise _plugin_failed(path, str(error.strerror)) from error


def _plugin_failed(path: Path, why: str) -> UsageError:
    return UsageError(f"the credential plugin failed: {why}", where=str(path), hint="log in again")


def _in_cluster() -> Access:
    host, port = (
        os.environ.get("KUBERNETES_SERVICE_HOST", ""),
        os.environ.get("KUBERNETES_SERVICE_PORT", "443"),
    )
    authority = SERVICE_ACCOUNT / "ca.crt"
    if not host or not authority.exists():
        raise UsageError("no kubeconfig is given and this is no pod", hint="set --kubeconfig or KUBECONFIG")
    name = f"[{host}]" if ":" in host else host
    return Access(
        server=f"https://{name}:{port}",
        where=str(SERVICE_ACCOUNT),
        ca=authority.read_text(encoding="ascii"),
        token=_file_token(SERVICE_ACCOUNT / "token", "the service account"),
    )
