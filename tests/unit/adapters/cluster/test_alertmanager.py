"""An Alertmanager at a URL of its own: our token goes there and nowhere else, and no other answer counts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from tests.unit.adapters.fake_kube import FakeKube

from knowngood.adapters.cluster.alertmanager import Silencer, secret
from knowngood.adapters.cluster.silences import Silences, matcher
from knowngood.model.alerts import Alertmanager
from knowngood.model.errors import KnowngoodError, Unreachable, UsageError

FOUND = [{"id": "1", "createdBy": "knowngood/r1", "matchers": [matcher("node", ["a"])], "comment": "x"}]


class Server:
    """Answers each request so; keeps what was asked."""

    def __init__(self) -> None:
        self.status, self.body = 200, json.dumps(FOUND)
        self.asked: list[tuple[str, str, str]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked.append((self.command, self.path, self.headers.get("Authorization", "")))
                self.send_response(outer.status)
                self.send_header("Location", "http://127.0.0.1:1/")
                self.end_headers()
                self.wfile.write(outer.body.encode())

            do_DELETE = do_GET  # noqa: N815

            def log_message(self, *_arguments: object) -> None:
                pass

        self.http = HTTPServer(("127.0.0.1", 0), Handler)
        self.at = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture(name="server")
def _server() -> Iterator[Server]:
    made = Server()
    thread = threading.Thread(target=made.http.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.http.shutdown()
    thread.join()
    made.http.server_close()


def test_the_token_is_read_where_the_reference_says_and_sent_with_each_request(
    server: Server, tmp_path: Path
) -> None:
    token = tmp_path / "token"
    token.write_text("s3cret\n")
    silencer = Silencer(FakeKube(), Alertmanager(f"{server.at}/", token=f"file:{token}"))
    assert silencer.all() == FOUND
    server.body = ""
    silencer.end("1")
    assert server.asked == [
        ("GET", "/api/v2/silences", "Bearer s3cret"),
        ("DELETE", "/api/v2/silence/1", "Bearer s3cret"),
    ]


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, "<html>log in</html>", Unreachable),
        (200, "{}", Unreachable),
        (302, "[]", Unreachable),
        (500, "[]", Unreachable),
        (401, "[]", UsageError),
        (403, "[]", UsageError),
    ],
)
def test_another_answer_is_no_list_of_silences(
    server: Server, status: int, body: str, error: type[KnowngoodError]
) -> None:
    server.status, server.body = status, body
    with pytest.raises(error):
        Silences(FakeKube(), Alertmanager(server.at)).leftovers()
    assert len(server.asked) == 1, "a redirect is not followed"


def test_a_reference_to_nothing_is_named(tmp_path: Path) -> None:
    assert secret("", "alertmanager.token") == ""
    for reference in ("env:KNOWNGOOD_NO_SUCH_VARIABLE", f"file:{tmp_path / 'none'}"):
        with pytest.raises(UsageError, match=reference.partition(":")[2]):
            secret(reference, "alertmanager.token")
