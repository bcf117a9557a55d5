"""A cluster that does not answer is told of in words."""

from __future__ import annotations

import socket

import pytest
import urllib3
import websocket
from urllib3.exceptions import HTTPError, ProtocolError

from knowngood.adapters.kubernetes.no_answer import said


def raised(url: str) -> HTTPError:
    with pytest.raises(HTTPError) as caught:
        urllib3.PoolManager().request("GET", url, retries=False, timeout=0.2)
    return caught.value


def test_nobody_listens() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    assert said(raised(f"http://127.0.0.1:{port}")) == "no connection: Connection refused"


def test_nobody_answers() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        port = silent.getsockname()[1]
        assert said(raised(f"http://127.0.0.1:{port}")) == "no answer within the time-out"


def test_a_name_that_nobody_has() -> None:
    assert said(raised("http://nobody.invalid")) == "its name can't be resolved"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            ProtocolError("aborted", ConnectionResetError(104, "Connection reset by peer")),
            "the connection broke off",
        ),
        (ConnectionRefusedError(111, "Connection refused"), "Connection refused"),
        (websocket.WebSocketConnectionClosedException("gone"), "WebSocketConnectionClosedException"),
        (HTTPError("a pool's repr"), "HTTPError"),
    ],
)
def test_words_where_there_are_some(error: Exception, words: str) -> None:
    assert said(error) == words
