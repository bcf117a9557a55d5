"""The client waits out a short outage, never a refusal, and says every failure in our own errors."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import pytest
from tests.unit.adapters.fake_kube import FakeKube

from knowngood.adapters.kubernetes import client as kube_module
from knowngood.adapters.kubernetes.client import LOGIN, ApiError, path, refuse
from knowngood.model.errors import Interrupted, Unreachable, UsageError
from knowngood.ports.cancel import Cancel


class Flaky(FakeKube):
    """Answers `answers` in turn: bytes, or an exception to raise; the last one for ever."""

    def __init__(
        self, *answers: bytes | Exception, patience: float = 2.0, cancel: Cancel | None = None
    ) -> None:
        super().__init__(patience=patience, cancel=cancel)
        self._answers = list(answers)
        self._answered = True

    def _once(
        self,
        method: str,
        where: str,
        query: Mapping[str, str] | None,
        body: Any,
        kind: str,
        timeout: float,
    ) -> bytes:
        self.counted()
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


def busy() -> Exception:
    return kube_module.Busy("ConnectionRefused")


def test_a_short_outage_is_waited_out() -> None:
    kube = Flaky(busy(), busy(), b'{"a": 1}')
    assert kube.get("/x") == {"a": 1}
    assert kube.calls == 3


def test_a_long_outage_is_unreachable_within_its_patience() -> None:
    kube = Flaky(busy(), patience=0.5)
    began = time.monotonic()
    with pytest.raises(Unreachable, match="https://fake: GET /x: ConnectionRefused"):
        kube.get("/x")
    assert time.monotonic() - began < 1.0


def test_an_api_server_that_never_answered_is_given_up_sooner() -> None:
    kube = Flaky(busy(), patience=60.0)
    kube._answered, kube.first_patience = False, 0.3
    with pytest.raises(Unreachable):
        kube.get("/x")


def test_a_cancel_ends_the_waiting_but_never_a_first_attempt() -> None:
    cancel = Cancel()
    cancel.set("Ctrl-C")
    assert Flaky(b"{}", cancel=cancel).get("/x") == {}
    with pytest.raises(Interrupted):
        Flaky(busy(), patience=60.0, cancel=cancel).get("/x")


def test_an_answer_that_is_no_json_is_not_an_api_server() -> None:
    with pytest.raises(Unreachable, match="no JSON"):
        Flaky(b"<html>").get("/x")


@pytest.mark.parametrize("answer", [b"[]", b"null", b'"ok"', b'{"status": "up"}'])
def test_an_answer_without_a_list_is_not_an_empty_one(answer: bytes) -> None:
    with pytest.raises(Unreachable, match="the answer is no"):
        Flaky(answer).list("/api/v1/nodes")


def test_a_list_of_nothing_may_be_null() -> None:
    assert Flaky(b'{"kind": "NodeList", "items": null}').list("/api/v1/nodes") == []


def test_a_refusal_is_not_retried() -> None:
    kube = Flaky(ApiError(422, "Invalid", "no", "PATCH /x"))
    with pytest.raises(ApiError):
        kube.patch("/x", [])
    assert kube.calls == 1


def test_credentials_that_are_not_known_are_the_users_mistake() -> None:
    with pytest.raises(UsageError, match="401") as told:
        refuse(401, b"", "GET /x", who="/srv/jo/.kube/prod")
    assert (told.value.where, told.value.hint) == ("/srv/jo/.kube/prod", LOGIN)


def test_a_missing_right_is_named() -> None:
    body = b'{"message": "nodes is forbidden: User x cannot list resource nodes"}'
    with pytest.raises(UsageError, match="cannot list resource nodes"):
        refuse(403, body, "GET /x")


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_a_busy_server_is_asked_again(code: int) -> None:
    with pytest.raises(kube_module.Busy) as failure:
        refuse(code, b"{}", "GET /x", "3")
    assert failure.value.wait == 3.0


def test_a_budgets_429_is_an_answer_not_a_busy_server() -> None:
    with pytest.raises(ApiError) as failure:
        refuse(429, b'{"message": "budget"}', "POST /api/v1/namespaces/a/pods/b/eviction", "10")
    assert (failure.value.code, failure.value.said) == (429, "budget")


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "POST"])
def test_a_change_of_etcds_leader_is_waited_out(method: str) -> None:
    def leader_changed() -> Exception:
        try:
            refuse(500, b'{"message": "etcdserver: leader changed"}', f"{method} /x")
        except kube_module.Busy as trouble:
            return trouble
        raise AssertionError

    assert Flaky(leader_changed(), b"{}")._json(method, "/x") == {}
    with pytest.raises(ApiError, match="leader changed"):
        Flaky(leader_changed(), patience=0.3)._json(method, "/x")


@pytest.mark.parametrize(
    "what",
    [
        "POST /api/v1/namespaces/a/pods/b/eviction",  # two budgets hold the pod
        "GET /api/v1/namespaces/a/pods/b/log",  # what one kubelet says, not the API server
        "GET /api/v1/nodes/n/proxy/logs/journal",
    ],
)
def test_a_500_that_is_an_answer_is_not_asked_again(what: str) -> None:
    with pytest.raises(ApiError, match="said so"):
        refuse(500, b'{"message": "said so"}', what)


def test_a_server_that_stays_busy_is_quoted() -> None:
    error = ApiError(503, "ServiceUnavailable", "etcd is slow", "GET /x")
    with pytest.raises(ApiError, match="etcd is slow"):
        Flaky(kube_module.Busy("busy", 0.0, error), patience=0.3).get("/x")


def test_long_lists_come_page_by_page() -> None:
    kube = Flaky(b'{"items": [{"a": 1}], "metadata": {"continue": "next"}}', b'{"items": [{"a": 2}]}')
    assert len(kube.list("/x")) == 2


def test_a_list_whose_next_page_has_expired_is_begun_again() -> None:
    first = b'{"items": [{"a": 1}], "metadata": {"continue": "next"}}'
    expired = ApiError(410, "Expired", "The provided continue parameter is too old", "GET /x")
    kube = Flaky(first, expired, first, b'{"items": [{"a": 2}]}')
    assert kube.list("/x") == [{"a": 1}, {"a": 2}], "nothing twice"
    with pytest.raises(ApiError, match="too old"):
        Flaky(first, expired, first, expired, first, expired).list("/x")


def test_a_deletion_of_another_uid_deletes_nothing() -> None:
    kube = FakeKube()
    kube.put("/api/v1/namespaces/a/pods/b", {})
    assert kube.delete("/api/v1/namespaces/a/pods/b", uid="other") is False
    assert kube.delete("/api/v1/namespaces/a/pods/gone") is False
    assert kube.writes == []


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("v1", "nodes", "gpu-1"), "/api/v1/nodes/gpu-1"),
        (("v1", "pods", "", "ns"), "/api/v1/namespaces/ns/pods"),
        (("apps/v1", "daemonsets", "d", "ns"), "/apis/apps/v1/namespaces/ns/daemonsets/d"),
        (("v1", "pods", "p", "ns", "eviction"), "/api/v1/namespaces/ns/pods/p/eviction"),
    ],
)
def test_paths(arguments: tuple[str, ...], expected: str) -> None:
    assert path(*arguments) == expected


@pytest.mark.parametrize("code", [401, 403])
def test_what_is_behind_the_proxy_and_refuses_us_is_not_the_api_server(code: int) -> None:
    """A kubelet or an Alertmanager that asks for credentials: to log in again would not help."""
    behind = "GET /api/v1/namespaces/monitoring/services/alertmanager/proxy/api/v2/silences"
    with pytest.raises(ApiError, match=str(code)):
        refuse(code, b"Unauthorized", behind)
    with pytest.raises(UsageError):
        refuse(code, b'{"kind": "Status", "message": "no"}', behind)
