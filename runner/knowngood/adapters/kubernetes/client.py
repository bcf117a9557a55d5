"""A thin Kubernetes client: one pool of connections, JSON dicts in and out, no generated models.

Reads and writes are retried with backoff while the API server does not answer, for `patience` seconds. That is safe for
writes because each of ours says what it expects (a JSON Patch `test`, a resourceVersion, a uid, a fixed name).
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlencode

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from knowngood.adapters.kubernetes import kubeconfig
from knowngood.adapters.kubernetes.no_answer import said
from knowngood.adapters.waiting import is_waiting
from knowngood.model.errors import Inconclusive, Unreachable, UsageError
from knowngood.ports.cancel import Cancel

Object = dict[str, Any]
T = TypeVar("T")
JSON_PATCH = "application/json-patch+json"
MERGE_PATCH = "application/merge-patch+json"
ONLY_METADATA = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
PAGE, NODES_A_PAGE = 1000, 250
"""Objects a page. Nodes are the largest there are: some 8 MiB of JSON, as a thousand pods."""
FIRST_PATIENCE = 5.0
"""Seconds for an API server that never answered: a wrong address is likelier than an outage."""
LOGIN = "log in again, or name another one: --kubeconfig FILE"
BUSY = frozenset({429, 500, 502, 503, 504})
"""Answers that ask to come again. 500 too: a change of etcd's leader, or a webhook that is being restarted."""
AGENT = "knowngood"
CONNECTIONS = 32
"""At the same time; more requests wait for one to be free, so that a large batch floods nobody."""
LISTINGS = 3  # times a list is begun, where its `continue` expires on the way


class ApiError(Inconclusive):
    """The API server said no. `code` is the HTTP status, `reason` the Status reason."""

    def __init__(self, code: int, reason: str, message: str, what: str) -> None:
        super().__init__(f"{what}: {code} {reason}: {message}".rstrip(": "))
        self.code = code
        self.reason = reason
        self.said = message

    @property
    def missing(self) -> bool:
        """Whether the object or its kind is not there."""
        return self.code == 404

    @property
    def conflict(self) -> bool:
        """Whether what we expected is no longer so: 409, or 422 of a failed JSON Patch `test`."""
        return self.code in {409, 422}


class Busy(Exception):
    """No answer, or one that asks to come again."""

    def __init__(self, text: str, wait: float = 0.0, answer: ApiError | None = None) -> None:
        super().__init__(text)
        self.wait = wait
        self.answer = answer


def path(api_version: str, plural: str, name: str = "", namespace: str = "", sub: str = "") -> str:
    """The URL path of a collection, an object or its subresource."""
    root = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
    where = ["namespaces", namespace] if namespace else []
    return "/".join([root, *(part for part in (*where, plural, name, sub) if part)])


class Kube:
    """One API server. Thread-safe. `calls` counts requests sent, retries included, `received` bytes of answers.

    `patience` seconds of silence are waited out, `first_patience` from a server that never answered. `cancel`
    ends the retries, never a first attempt: what is needed to stop cleanly can still be written. `agent`: who asks, as
    the server's own records and the twin's tally show it; what is asked while waiting says so.
    """

    def __init__(
        self,
        kubeconfig_path: Path | None,
        *,
        context: str = "",
        timeout: float = 15.0,
        patience: float = 60.0,
        first_patience: float = FIRST_PATIENCE,
        cancel: Cancel | None = None,
        agent: str = AGENT,
    ) -> None:
        self.agent = agent
        self.access = kubeconfig.load(kubeconfig_path, context)
        self.calls = self.received = 0
        self.patience = patience
        self.first_patience = first_patience
        self.timeout = timeout
        self.tls = self.access.tls()
        self._init_transport(cancel)
        options: Object = {"ssl_context": self.tls, "maxsize": CONNECTIONS, "block": True}
        if self.access.server_name:
            options["server_hostname"] = self.access.server_name
        self._pool = self._pool_of(options)

    def _pool_of(self, options: Object) -> urllib3.PoolManager:
        if (proxy := self.access.proxy) is None:
            return urllib3.PoolManager(**options)
        return urllib3.ProxyManager(proxy.url, proxy_headers=proxy.headers(), **options)

    def _init_transport(self, cancel: Cancel | None) -> None:
        self._cancel = cancel or Cancel()
        self._answered = False
        self._count = threading.Lock()
        self._kinds: dict[tuple[str, str], tuple[str, bool]] = {}

    def get(self, where: str, **query: str) -> Object:
        """One object, or any JSON answer. ApiError 404 where there is none."""
        return self._json("GET", where, query=query)

    def find(self, where: str) -> Object | None:
        """One object, None where there is none."""
        try:
            return self.get(where)
        except ApiError as error:
            if error.missing:
                return None
            raise

    def _pages(
        self,
        where: str,
        query: Mapping[str, str],
        kind: str = "application/json",
        keep: Callable[[Object], Object] | None = None,
    ) -> list[Object]:
        items: list[Object] = []
        token: dict[str, str] = {}
        while True:
            body = self._json("GET", where, query={**query, **token}, kind=kind)
            if "items" not in body:
                raise self._not_told(f"GET {where}", "the answer is no list")
            page = body["items"] or []
            items += page if keep is None else [keep(item) for item in page]
            more = (body.get("metadata") or {}).get("continue")
            if not more:
                return items
            token = {"continue": str(more)}

    def metadata(self, where: str, labels: str = "") -> list[Object]:
        """As `list`, but of each object its metadata only: what it holds is not sent."""
        query = {"limit": str(PAGE), "labelSelector": labels}
        return self._pages(where, query, ONLY_METADATA)

    def list(
        self, where: str, labels: str = "", fields: str = "", keep: Callable[[Object], Object] | None = None
    ) -> list[Object]:
        """All objects of a collection that match the selectors, page by page; `keep`: what is kept of each."""
        page = NODES_A_PAGE if where.endswith("/nodes") else PAGE
        query = {"limit": str(page), "labelSelector": labels, "fieldSelector": fields}
        query = {key: value for key, value in query.items() if value}
        for _ in range(LISTINGS - 1):
            try:
                return self._pages(where, query, keep=keep)
            except ApiError as error:
                if error.code != 410:  # 410: etcd has compacted away what the pages were of
                    raise
        return self._pages(where, query, keep=keep)

    def create(self, where: str, body: Object, **query: str) -> Object:
        """POST an object, or an answer to a subresource. ApiError 409 where the name is taken."""
        return self._json("POST", where, query=query, body=body)

    def replace(self, where: str, body: Object) -> Object:
        """PUT an object; ApiError 409 if its resourceVersion is stale."""
        return self._json("PUT", where, body=body)

    def once(self, method: str, where: str, body: Object | None = None, *, timeout: float) -> Object:
        """One attempt within `timeout` seconds, nothing waited for. Unreachable where no answer comes."""
        return self._json(method, where, body=body, patience=0.0, timeout=timeout)

    def patch(self, where: str, operations: Sequence[Object]) -> Object:
        """JSON Patch; ApiError with `conflict` where a `test` failed."""
        return self._json("PATCH", where, body=list(operations), kind=JSON_PATCH)

    def merge(self, where: str, body: Object) -> Object:
        """Merge patch; a resourceVersion in it makes it conditional."""
        return self._json("PATCH", where, body=body, kind=MERGE_PATCH)

    def delete(self, where: str, uid: str = "", grace: int | None = None) -> bool:
        """Delete an object, only if it is still the one with `uid`; False if it was gone or another one."""
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        if uid:
            options["preconditions"] = {"uid": uid}
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            self._json("DELETE", where, body=options)
        except ApiError as error:
            if error.missing or error.code == 409:
                return False
            raise
        return True

    def delete_all(self, where: str, labels: str) -> None:
        """Ask for the deletion of all objects of a collection that match the selector, which must name some."""
        if not labels:
            raise ValueError("no selector: that would be all of the collection")
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background"}
        self._json("DELETE", where, query={"labelSelector": labels}, body=options)

    def evict(self, namespace: str, pod: str, uid: str, *, dry_run: bool = False) -> Object:
        """Ask to evict the pod with `uid`. ApiError 429: a budget says no now; 404 or 409: it is gone."""
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": namespace},
            "deleteOptions": {"preconditions": {"uid": uid}},
        }
        query = {"dryRun": "All"} if dry_run else {}
        return self._json("POST", path("v1", "pods", pod, namespace, "eviction"), query=query, body=body)

    def text(self, where: str, *, busy: float | None = None, **query: str) -> str:
        """An answer that is no JSON: logs, the node's journal. `busy`: seconds a 503 is retried."""
        return self._send("GET", where, query=query, busy=busy).decode("utf-8", "replace")

    def raw(self, method: str, where: str, body: Object | None = None) -> bytes:
        """What something behind a service's proxy answers, be it JSON or nothing."""
        return self._send(method, where, body=body)

    def locate(self, api_version: str, kind: str, name: str, namespace: str = "") -> str:
        """The path of an object named by its kind, asked of the server's discovery; ApiError 404 if not served."""
        if (api_version, kind) not in self._kinds:
            for entry in self.get(path(api_version, "")).get("resources") or ():
                if "/" not in entry["name"]:
                    self._kinds[(api_version, entry["kind"])] = (entry["name"], bool(entry["namespaced"]))
        if (api_version, kind) not in self._kinds:
            raise ApiError(404, "NotFound", f"the server does not serve {kind} of {api_version}", "discovery")
        plural, namespaced = self._kinds[(api_version, kind)]
        return path(api_version, plural, name, namespace if namespaced else "")

    def headers(self) -> urllib3.HTTPHeaderDict:
        """What every request carries; a name may come several times."""
        token = self.access.token()
        found = urllib3.HTTPHeaderDict(
            {"User-Agent": self.agent + (" (waiting)" if is_waiting() else ""), "Accept": "application/json"}
        )
        if token:
            found["Authorization"] = f"Bearer {token}"
        for name, value in self.access.acting:
            found.add(name, value)
        return found

    def counted(self, calls: int = 1, received: int = 0) -> None:
        """Count a request, or an answer's bytes."""
        with self._count:
            self.calls += calls
            self.received += received

    def _json(
        self,
        method: str,
        where: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        kind: str = "application/json",
        patience: float | None = None,
        timeout: float | None = None,
    ) -> Object:
        data = self._send(
            method, where, query=query, body=body, kind=kind, patience=patience, timeout=timeout
        )
        try:
            answer = json.loads(data)
        except ValueError as error:
            raise self._not_told(f"{method} {where}", "the answer is no JSON") from error
        if not isinstance(answer, dict):
            raise self._not_told(f"{method} {where}", "the answer is no JSON object")
        return answer

    def _not_told(self, what: str, why: str) -> Unreachable:
        """Something answers that is no API server: what it leaves out is no sign that there is nothing."""
        return Unreachable(f"{what}: {why}", where=self.access.server, hint=kubeconfig.HINT)

    def _send(
        self,
        method: str,
        where: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Any = None,
        kind: str = "application/json",
        patience: float | None = None,
        busy: float | None = None,
        timeout: float | None = None,
    ) -> bytes:
        limit = timeout or self.timeout
        return self.patient(
            lambda: self._once(method, where, query, body, kind, limit), f"{method} {where}", patience, busy
        )

    def patient(
        self, attempt: Callable[[], T], what: str, patience: float | None = None, busy: float | None = None
    ) -> T:
        """Do `attempt` again while it raises Busy: `patience` seconds of silence, `busy` of busy answers."""
        started = time.monotonic()
        delay = 0.2
        while True:
            try:
                result = attempt()
            except Busy as trouble:
                limit = self.patience if patience is None else patience
                if trouble.answer is not None:
                    limit = limit if busy is None else busy
                elif not self._answered:
                    limit = min(limit, self.first_patience)
                pause = max(delay, trouble.wait)
                if time.monotonic() - started + pause > limit:
                    if trouble.answer is not None:
                        raise trouble.answer from None
                    raise Unreachable(
                        f"{what}: {trouble}", where=self.access.server, hint=kubeconfig.HINT
                    ) from trouble
                self._cancel.wait(pause)
                self._cancel.check()
                delay = min(delay * 2, 5.0)
            else:
                self._answered = True
                return result

    def _once(
        self, method: str, where: str, query: Mapping[str, str] | None, body: Any, kind: str, timeout: float
    ) -> bytes:
        own = {"Accept" if body is None else "Content-Type": kind}
        data = None if body is None else json.dumps(body).encode()
        answer = self.request(method, where, query, own, body=data, timeout=timeout)
        self.counted(0, len(answer.data))
        if answer.status >= 400:
            later = answer.headers.get("Retry-After") or ""
            refuse(answer.status, answer.data, f"{method} {where}", later, self.access.where)
        return answer.data

    def request(
        self, method: str, where: str, query: Mapping[str, str] | None, own: Mapping[str, str], **options: Any
    ) -> urllib3.BaseHTTPResponse:
        """One request, once, as it is answered; `own`: its headers. Busy where nobody answers."""
        url = f"{self.access.server}{where}" + (f"?{urlencode(query)}" if query else "")
        options |= {"headers": self.headers() | dict(own), "retries": False, "redirect": False}
        self.counted()
        try:
            return self._pool.request(method, url, **options)
        except SSLError as error:
            raise refused_certificate(self, error) from error
        except HTTPError as error:
            raise Busy(said(error)) from error


def refused_certificate(kube: Kube, error: Exception) -> UsageError:
    """The server is not who the kubeconfig says, or does not take our certificate."""
    return UsageError(
        f"{kube.access.server}: TLS failed: {error}",
        where=kube.access.where,
        hint="is this kubeconfig of this cluster, and is it current?",
    )


def refuse(code: int, body: bytes, what: str, retry_after: str = "", who: str = "") -> None:
    """Raise what an HTTP status from 400 on means. `who`: the kubeconfig by which it was asked."""
    try:
        status = json.loads(body)
    except ValueError:
        status = {}
    status = status if isinstance(status, dict) else {}
    message = str(status.get("message") or body[:200].decode("utf-8", "replace"))
    error = ApiError(code, str(status.get("reason") or ""), message, what)
    if code in {401, 403} and "/proxy/" in what and status.get("kind") != "Status":
        raise error  # of what is behind the proxy: the API server's own refusal is a Status
    if code == 401:
        raise UsageError("the API server does not know our credentials (401)", where=who, hint=LOGIN)
    if code == 403:
        raise UsageError(f"{what}: forbidden: {message}", hint="see deploy/ for the rights that are needed")
    if code in BUSY and not _final(code, what):
        raise Busy(str(error), min(float(retry_after), 10.0) if retry_after.isdecimal() else 0.0, error)
    raise error


def _final(code: int, what: str) -> bool:
    """Whether a busy answer's code means something else here, so that asking again would not help."""
    if what.endswith("/eviction"):
        return code in {429, 500}  # a budget says no, or two budgets hold the pod
    return code == 500 and (what.endswith("/log") or "/proxy/" in what)  # one kubelet's own answer
