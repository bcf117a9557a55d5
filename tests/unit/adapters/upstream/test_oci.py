"""A registry is asked as a node would ask it: mirrors first, with the pull secret, and only 404 means gone."""

from __future__ import annotations

import base64
import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.oci import USER, WORD, Served, free_port, needs_registry, served

from knowngood.adapters.upstream import oci
from knowngood.adapters.upstream.oci import (
    Mirror,
    Mirrors,
    OciRegistry,
    Reference,
    UntoldError,
    _private,
)

DIGEST = "sha256:" + "a" * 64
LOGIN = base64.b64encode(f"{USER}:{WORD}".encode()).decode()


@pytest.mark.parametrize(
    ("image", "reference"),
    [
        (
            "mirror.example.com/nvidia/driver:580-rhcos4.18",
            Reference("mirror.example.com", "nvidia/driver", "580-rhcos4.18"),
        ),
        (f"localhost:5000/a@{DIGEST}", Reference("localhost:5000", "a", "", DIGEST)),
        (f"q.example.com/a/b:1@{DIGEST}", Reference("q.example.com", "a/b", "1", DIGEST)),
        ("q.example.com/a", Reference("q.example.com", "a")),
    ],
)
def test_a_reference_is_read(image: str, reference: Reference) -> None:
    assert oci.parse(image) == reference


@pytest.mark.parametrize(
    "image",
    ["", "nginx", "library/nginx:1", "q.example.com/A", "q.example.com/a:", "https://q.example.com/a"],
)
def test_what_names_no_registry_is_nobodys_to_tell(image: str) -> None:
    with pytest.raises(UntoldError):
        oci.parse(image)


def places(image: str, mirrors: Mirrors) -> list[str]:
    return [place.source for place in mirrors.places(oci.parse(image))]


def test_digest_mirrors_count_for_digests_and_tag_mirrors_for_tags() -> None:
    by_digest = Mirror("up.example.com/n", ("m.example.com/n",))
    by_tag = Mirror("up.example.com", ("t.example.com/up",), only=True)
    mirrors = Mirrors(digests=(by_digest,), tags=(by_tag,))
    assert places(f"up.example.com/n/driver@{DIGEST}", mirrors) == [
        "m.example.com/n/driver",
        "up.example.com/n/driver",
    ]
    assert places(f"up.example.com/nn/driver@{DIGEST}", mirrors) == ["up.example.com/nn/driver"]
    assert places("up.example.com/n/driver:1", mirrors) == ["t.example.com/up/n/driver"]


def test_the_longest_source_counts_and_its_mirrors_in_order() -> None:
    closer = Mirror("up.example.com/n", ("b.example.com/n", "c.example.com/n"))
    mirrors = Mirrors(tags=(Mirror("up.example.com", ("a.example.com",)), closer))
    assert places("up.example.com/n/x:1", mirrors) == [
        "b.example.com/n/x",
        "c.example.com/n/x",
        "up.example.com/n/x",
    ]


def test_mirror_sets_of_each_kind_are_read() -> None:
    never = {"source": "s", "mirrors": ["m"], "mirrorSourcePolicy": "NeverContactSource"}
    sets: list[dict[str, Any]] = [
        {"spec": {"imageDigestMirrors": [never]}},
        {"spec": {"imageTagMirrors": [{"source": "t"}]}},
        {},
    ]
    assert list(oci.mirrors_of(sets)) == [Mirror("s", ("m",), only=True), Mirror("t", ())]


def test_a_pull_secret_is_read_by_host_and_shown_nowhere() -> None:
    basic = {"username": "a", "password": "b"}
    secret = {"auths": {"q.example.com": {"auth": "YTpi"}, "https://r.example.com/v2/": basic, "x": {}}}
    found = oci.logins(json.dumps(secret))
    assert found == {"q.example.com": "YTpi", "r.example.com": "YTpi"}
    assert oci.logins("nonsense") == oci.logins("[]") == {}
    assert "YTpi" not in repr(OciRegistry(logins=found))


def test_nobody_answers() -> None:
    image = f"127.0.0.1:{free_port()}/a:1"
    found = OciRegistry(timeout=1.0).look_for(dict.fromkeys([image, "nginx"], ""))
    assert not found.missing
    assert "does not answer" in found.unproven[image]
    assert "names no registry" in found.unproven["nginx"]


def test_what_answers_no_http_could_not_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_http(*_: object) -> None:
        raise http.client.BadStatusLine("SSH-2.0")

    monkeypatch.setattr(OciRegistry, "_read", no_http)
    image = "q.example.com/a:1"
    assert "does not answer: SSH-2.0" in OciRegistry().look_for(dict.fromkeys([image], "")).unproven[image]


def test_a_host_that_does_not_answer_is_waited_for_once() -> None:
    """Forty images of it would cost forty time-outs."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        host = f"127.0.0.1:{deaf.getsockname()[1]}"
        begin = time.monotonic()
        found = OciRegistry(timeout=0.2).look_for(dict.fromkeys([f"{host}/a:{n}" for n in range(20)], ""))
        assert time.monotonic() - begin < 2
    assert len(found.unproven) == 20


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("registry")) as found:
        found.push("nvidia/driver", "580-rhcos4.18", "amd64", "arm64")
        found.push("nvidia/doca", "25.10-rhel9.6-amd64", "amd64")
        yield found


def asked(registry: Served, **settings: object) -> OciRegistry:
    return OciRegistry(Mirrors(insecure=frozenset({registry.host}), **settings), timeout=5.0)  # type: ignore[arg-type]


@needs_registry
def test_what_is_there_is_there_for_its_architectures(registry: Served) -> None:
    driver, doca = (
        f"{registry.host}/nvidia/driver:580-rhcos4.18",
        f"{registry.host}/nvidia/doca:25.10-rhel9.6-amd64",
    )
    found = asked(registry).look_for({driver: "amd64 arm64", doca: "amd64"})
    assert (found.missing, found.unproven) == ({}, {})
    found = asked(registry).look_for({driver: "ppc64le", doca: "arm64"})
    assert "not for ppc64le" in found.missing[driver]
    assert "is for amd64, not arm64" in found.missing[doca]
    assert asked(registry).look_for(dict.fromkeys([driver], "")).missing == {}


@needs_registry
def test_what_was_pruned_is_missing(registry: Served) -> None:
    driver = f"{registry.host}/nvidia/driver"
    gone = [f"{driver}:570-rhcos4.18", f"{registry.host}/no/such:1", f"{driver}@{DIGEST}"]
    found = asked(registry).look_for(dict.fromkeys(gone, ""))
    assert sorted(found.missing) == sorted(gone)
    assert all("404" in why for why in found.missing.values())


@needs_registry
def test_a_mirror_has_what_the_source_is_not_asked_for(registry: Served) -> None:
    away = f"127.0.0.1:{free_port()}"
    pushed = registry.push("mirror/operator", "1", "amd64")
    entry = Mirror(f"{away}/up", (f"{registry.host}/mirror",), only=True)
    found = asked(registry, digests=(entry,)).look_for(
        dict.fromkeys([f"{away}/up/operator@{pushed}", f"{away}/up/operator@{DIGEST}"], "")
    )
    assert (list(found.missing), found.unproven) == ([f"{away}/up/operator@{DIGEST}"], {})


@needs_registry
def test_one_place_that_is_silent_leaves_it_untold(registry: Served) -> None:
    """The mirror says no, the source says nothing: the image may be there."""
    away = f"127.0.0.1:{free_port()}"
    entry = Mirror(f"{away}/up", (f"{registry.host}/mirror",))
    found = asked(registry, tags=(entry,)).look_for(dict.fromkeys([f"{away}/up/gone:1"], ""))
    assert (found.missing, len(found.unproven)) == ({}, 1)


@needs_registry
def test_without_leave_nothing_is_asked_without_tls(registry: Served) -> None:
    image = f"{registry.host}/nvidia/driver:580-rhcos4.18"
    assert list(OciRegistry(timeout=2.0).look_for(dict.fromkeys([image], "")).unproven) == [image]


@needs_registry
def test_a_login_opens_and_a_wrong_or_missing_one_proves_nothing(tmp_path: Path) -> None:
    with served(tmp_path, login=LOGIN) as registry:
        registry.push("n/driver", "1", "amd64")
        image, mirrors = f"{registry.host}/n/driver:1", Mirrors(insecure=frozenset({registry.host}))

        def look(logins: dict[str, str]) -> tuple[str, str]:
            found = OciRegistry(mirrors, logins, timeout=5.0).look_for(dict.fromkeys([image], ""))
            return found.missing.get(image, ""), found.unproven.get(image, "")

        assert look({registry.host: LOGIN}) == ("", "")
        assert look({f"{registry.host}/n": LOGIN, registry.host: "eDp5"}) == ("", "")
        wrong = base64.b64encode(f"{USER}:another-word".encode()).decode()
        assert "denied (401)" in look({registry.host: wrong})[1]
        assert "has none for it" in look({})[1]
        told = " ".join(look({registry.host: wrong}))
        assert wrong not in told
        assert "another-word" not in told


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("https://mirror.example.com/v2/", True),
        ("http://mirror.example.com/v2/", False),
        ("http://127.0.0.1:5000/v2/", True),
        ("http://localhost.example.com/v2/", False),
    ],
)
def test_a_login_is_sent_where_nobody_else_reads_it(url: str, private: bool) -> None:
    assert _private(url) is private


@pytest.mark.parametrize(
    ("kind", "document"),
    [
        ("application/json", {}),
        ("application/json", {"errors": [{"code": "DENIED"}]}),
        ("application/vnd.oci.image.manifest.v1+json", {"schemaVersion": 2}),
    ],
)
def test_a_document_that_is_no_manifest_is_no_image(
    monkeypatch: pytest.MonkeyPatch, kind: str, document: dict[str, object]
) -> None:
    """A gateway's answer with status 200."""
    one = OciRegistry()
    monkeypatch.setattr(one, "_get", lambda *_: (kind, document))
    found = one.look_for(dict.fromkeys(["mirror.example.com/nvidia/driver:580"], ""))
    assert (found.missing, len(found.unproven)) == ({}, 1)
