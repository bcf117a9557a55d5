"""A kubeconfig is read without the generated client; what is wrong with one is said with its file."""

from __future__ import annotations

import base64
import hashlib
import json
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.cases import CASES, needs_cases
from tests.unit.adapters.kubernetes.configs import DER, PEM, config, write

from knowngood.adapters.kubernetes import kubeconfig, proxy
from knowngood.model.errors import UsageError


def test_the_current_context_is_used(tmp_path: Path) -> None:
    access = kubeconfig.load(write(tmp_path, config()))
    assert access.server == "https://api.example.com:6443"
    assert access.token() == "secret-token"


def test_secrets_do_not_show_in_a_traceback(tmp_path: Path) -> None:
    key = base64.b64encode(b"private").decode()
    shown = repr(kubeconfig.load(write(tmp_path, config(**{"client-key-data": key}))))
    assert "secret-token" not in shown
    assert "private" not in shown


def test_the_fingerprint_is_that_of_the_certificate_not_of_its_spelling(tmp_path: Path) -> None:
    first = kubeconfig.load(write(tmp_path, config())).fingerprint()
    (tmp_path / "ca.crt").write_text("# a comment before it\n" + PEM)
    by_file = config()
    by_file["clusters"][0]["cluster"].pop("certificate-authority-data")
    by_file["clusters"][0]["cluster"]["certificate-authority"] = "ca.crt"  # relative to the kubeconfig
    assert first == hashlib.sha256(DER).hexdigest()
    assert kubeconfig.load(write(tmp_path, by_file)).fingerprint() == first


def test_an_unverified_server_has_no_fingerprint(tmp_path: Path) -> None:
    """The file's CA is no proof where the connection asks for none."""
    values = config()
    values["clusters"][0]["cluster"]["insecure-skip-tls-verify"] = True
    assert kubeconfig.load(write(tmp_path, values)).fingerprint() == ""


@pytest.mark.parametrize("label", ["X509 CERTIFICATE", "TRUSTED CERTIFICATE"])
def test_no_authority_is_trusted_that_the_fingerprint_leaves_out(tmp_path: Path, label: str) -> None:
    """OpenSSL reads other spellings, too: a second authority could stand beside the pinned one."""
    pinned, other = authority("pinned"), authority("other")
    values = config()
    text = pinned + other.replace("CERTIFICATE", label)
    values["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(text.encode()).decode()
    access = kubeconfig.load(write(tmp_path, values))
    trusted = access.tls().get_ca_certs(binary_form=True)
    assert trusted == [ssl.PEM_cert_to_DER_cert(pinned)]
    assert access.fingerprint() == hashlib.sha256(trusted[0]).hexdigest()


def test_an_authority_that_is_none_is_refused_rather_than_the_systems_taken(tmp_path: Path) -> None:
    values = config()
    values["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode(b"none").decode()
    with pytest.raises(UsageError, match="holds no CERTIFICATE"):
        kubeconfig.load(write(tmp_path, values)).tls()


def authority(name: str) -> str:
    """A CA's certificate, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    day = datetime(2026, 1, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder(
            issuer_name=who, subject_name=who, public_key=key.public_key(), serial_number=1
        )
        .not_valid_before(day)
        .not_valid_after(day + timedelta(days=9000))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def test_a_token_file_is_read_at_each_use(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("one\n")
    access = kubeconfig.load(write(tmp_path, config(token="", tokenFile="token")))
    assert access.token() == "one"
    (tmp_path / "token").write_text("two\n")
    assert access.token() == "two"


def test_a_token_written_as_a_block_has_no_line_break(tmp_path: Path) -> None:
    assert kubeconfig.load(write(tmp_path, config(token="sha256~abc\n"))).token() == "sha256~abc"


BROKEN = ["s3cret\nmore", "s3cret\rX-Other: y", "s3cret\x00", "s3cret\u20ac"]
"""Tokens that an HTTP client would refuse, quoting them."""


def refused(config_path: Path) -> UsageError:
    with pytest.raises(UsageError, match="characters that no token has") as failure:
        kubeconfig.load(config_path).token()
    assert "user 'u'" in str(failure.value)
    assert "s3cret" not in f"{failure.value} {failure.value.hint}"
    return failure.value


@pytest.mark.parametrize("token", BROKEN)
def test_a_token_that_fits_no_header_is_refused_without_its_value(tmp_path: Path, token: str) -> None:
    path = write(tmp_path, config(token=token))
    assert refused(path).where == str(path)


@pytest.mark.parametrize("token", BROKEN)
def test_so_is_one_in_a_file(tmp_path: Path, token: str) -> None:
    (tmp_path / "token").write_bytes(token.encode())
    assert refused(write(tmp_path, config(token="", tokenFile="token"))).where == str(tmp_path / "token")


@pytest.mark.parametrize("token", BROKEN[:2])
def test_so_is_one_of_a_credential_plugin(tmp_path: Path, token: str) -> None:
    path = write(tmp_path, config(token="", exec=plugin(tmp_path, token)))
    assert refused(path).where == str(path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("current-context"), "no current-context"),
        (lambda c: c.update({"current-context": "x"}), "contexts has no entry 'x'"),
        (lambda c: c.update({"current-context": "other"}), "clusters has no entry 'gone'"),
        (lambda c: c.update({"users": None}), "users has no entry 'u'"),
        (lambda c: c["clusters"][0]["cluster"].update({"server": "http://x"}), "no https"),
        (lambda c: c["clusters"][0]["cluster"].update({"proxy-url": "socks5://p"}), "socks5:// is not"),
        (lambda c: c["clusters"][0]["cluster"].update({"proxy-url": "http://p:x"}), "proxy-url is no"),
        (lambda c: c["clusters"][0]["cluster"].update({"proxy-url": "http://"}), "names no host"),
        (lambda c: c["users"][0]["user"].update({"username": "a", "password": "b"}), "a name and a password"),
        (lambda c: c["users"][0]["user"].update({"as-groups": ["system:masters"]}), "no `as`"),
        (lambda c: c["users"][0]["user"].update({"as": "two\nlines"}), "no header has"),
        (
            lambda c: c["clusters"][0]["cluster"].update({"certificate-authority-data": "%"}),
            "no base64",
        ),
    ],
)
def test_a_mistake_is_named_with_its_file(tmp_path: Path, change: Any, said: str) -> None:
    values = config()
    change(values)
    path = write(tmp_path, values)
    with pytest.raises(UsageError, match=said) as failure:
        kubeconfig.load(path)
    assert str(path) in str(failure.value)


@pytest.mark.parametrize("text", ["- a list", "a: [", "\x00", "text"])
def test_what_is_no_kubeconfig_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError):
        kubeconfig.load(write(tmp_path, text))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        kubeconfig.load(tmp_path / "none")


def test_a_certificate_that_is_none_is_refused_before_any_request(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unusable certificate"):
        kubeconfig.load(write(tmp_path, config())).tls()


def test_outside_a_pod_there_is_no_service_account(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(UsageError, match="this is no pod"):
        kubeconfig.load(None)


def test_the_default_is_the_environments_then_the_homes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KUBECONFIG", "")
    assert kubeconfig.default_path() is None
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").touch()
    assert kubeconfig.default_path() == tmp_path / ".kube" / "config"
    monkeypatch.setenv("KUBECONFIG", "/a")
    assert kubeconfig.default_path() == Path("/a")


def plugin(tmp_path: Path, token: str = "", **more: str) -> dict[str, str]:
    """A user's `exec` that gives a token, or what else an ExecCredential holds."""
    version = "client.authentication.k8s.io/v1"
    status = more or {"token": token}
    answer = {"apiVersion": version, "kind": "ExecCredential", "status": status}
    (tmp_path / "answer").write_text(json.dumps(answer))
    script = tmp_path / "plugin"
    script.write_text(f"#!/bin/sh\ncat {tmp_path}/answer\n")
    script.chmod(0o700)
    return {"apiVersion": version, "command": str(script), "interactiveMode": "Never"}


def test_a_credential_plugin_is_asked_through_the_official_client(tmp_path: Path) -> None:
    user = plugin(tmp_path, "from-the-plugin")
    access = kubeconfig.load(write(tmp_path, config(token="", exec=user)))
    assert access.token() == "from-the-plugin"


def test_a_credential_plugin_may_give_a_certificate_in_place_of_a_token(tmp_path: Path) -> None:
    user = plugin(tmp_path, clientCertificateData=PEM, clientKeyData="the key")
    access = kubeconfig.load(write(tmp_path, config(token="", exec=user)))
    assert (access.token(), access.client_cert, access.client_key) == ("", PEM.encode(), b"the key")


def test_a_credential_plugin_that_gives_half_a_certificate_is_named(tmp_path: Path) -> None:
    user = plugin(tmp_path, clientCertificateData=PEM)
    with pytest.raises(UsageError, match="credential plugin failed"):
        kubeconfig.load(write(tmp_path, config(token="", exec=user)))


def test_a_credential_plugin_that_fails_is_named(tmp_path: Path) -> None:
    user = {"apiVersion": "client.authentication.k8s.io/v1", "command": "/no/such/plugin"}
    with pytest.raises(UsageError, match="credential plugin failed"):
        kubeconfig.load(write(tmp_path, config(token="", exec=user)))


@pytest.mark.parametrize(
    ("user", "words", "hint"),
    [
        ({"exec": {"command": "no-such-login"}}, "there is no program no-such-login", "put it on PATH"),
        ({"exec": {"command": "./no-such", "installHint": "get it\nhere"}}, "no program ./no-such", "get it"),
        ({"auth-provider": {"name": "gcp"}}, "'gcp' is gone", "gke-gcloud-auth-plugin"),
    ],
)
def test_a_credential_plugin_that_is_not_there_says_what_to_get(
    tmp_path: Path, user: dict[str, object], words: str, hint: str
) -> None:
    with pytest.raises(UsageError, match=words) as error:
        kubeconfig.load(write(tmp_path, config(token="", **user)))
    assert hint in error.value.hint
    assert "\n" not in error.value.hint


def test_without_a_context_those_that_there_are_are_named(tmp_path: Path) -> None:
    path = write(tmp_path, {**config(), "current-context": ""})
    with pytest.raises(UsageError, match="no current-context") as error:
        kubeconfig.load(path)
    assert str(config()["contexts"][0]["name"]) in error.value.hint


def test_what_is_no_yaml_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text("apiVersion: v1\nclusters:\n\t- name: c\n")
    with pytest.raises(UsageError) as error:
        kubeconfig.load(path)
    assert error.value.where == f"{path}:3"


def test_in_a_pod_the_service_account_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kubeconfig, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "fd00::1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    (tmp_path / "ca.crt").write_text(PEM)
    (tmp_path / "token").write_text("mounted\n")
    access = kubeconfig.load(None)
    assert access.server == "https://[fd00::1]:443"
    assert access.token() == "mounted"
    assert access.fingerprint() == hashlib.sha256(DER).hexdigest()


def test_binary_text_and_broken_lines_are_base64_to_kubectl_and_so_to_us(tmp_path: Path) -> None:
    plain = config()
    text = plain["clusters"][0]["cluster"]["certificate-authority-data"]
    wanted = kubeconfig.load(write(tmp_path, plain)).ca
    for written in (f"{text[:20]}\r\n{text[20:]}\n", f"{text[:20]}\n{text[20:]}".encode()):  # bytes: !!binary
        plain["clusters"][0]["cluster"]["certificate-authority-data"] = written
        assert kubeconfig.load(write(tmp_path, plain)).ca == wanted
    plain["users"][0]["user"]["token"] = b"secret-token"
    assert kubeconfig.load(write(tmp_path, plain)).token() == "secret-token"


def test_a_blank_inside_base64_is_still_a_mistake(tmp_path: Path) -> None:
    plain = config()
    plain["clusters"][0]["cluster"]["certificate-authority-data"] = "TFM wdA=="
    with pytest.raises(UsageError, match="no base64"):
        kubeconfig.load(write(tmp_path, plain))


def test_a_token_file_goes_before_a_token_beside_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("fresh")
    assert kubeconfig.load(write(tmp_path, config(tokenFile="token"))).token() == "fresh"


def test_who_is_acted_as_is_told_to_the_server(tmp_path: Path) -> None:
    user = {
        "as": "admin",
        "as-uid": "7",
        "as-groups": ["a", "b"],
        "as-user-extra": {"Reason/Why": ["x", "y"]},
    }
    assert kubeconfig.load(write(tmp_path, config(**user))).acting == (
        ("Impersonate-User", "admin"),
        ("Impersonate-Uid", "7"),
        ("Impersonate-Group", "a"),
        ("Impersonate-Group", "b"),
        ("Impersonate-Extra-reason%2Fwhy", "x"),
        ("Impersonate-Extra-reason%2Fwhy", "y"),
    )


@pytest.mark.parametrize("name", ["c1-binary-tag", "c3-impersonation", "c4-proxy-url"])
@needs_cases
def test_public_kubeconfigs_are_taken(name: str) -> None:
    path = CASES / f"{name}.yaml"
    access = kubeconfig.load(path)
    assert access.server.startswith("https://api.")
    assert bool(access.acting) == (name == "c3-impersonation")
    assert bool(access.proxy) == (name == "c4-proxy-url")


@pytest.mark.parametrize(
    ("environment", "server", "wanted"),
    [
        ({}, "https://api.example.com", ""),
        ({"HTTPS_PROXY": "http://p:3128"}, "https://api.example.com", "http://p:3128"),
        ({"https_proxy": "p:3128"}, "https://api.example.com", "http://p:3128"),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": ".example.com"}, "https://api.example.com", ""),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "x, 10.0.0.0/8"}, "https://10.1.2.3:6443", ""),
        ({"HTTPS_PROXY": "http://p:3128", "NO_PROXY": "10.0.0.0/8"}, "https://192.0.2.1", "http://p:3128"),
        ({"HTTPS_PROXY": "http://p:3128"}, "https://127.0.0.1:6443", ""),
        ({"HTTPS_PROXY": "http://p:3128"}, "https://localhost:6443", ""),
        ({"HTTP_PROXY": "http://p:3128"}, "https://api.example.com", ""),
    ],
)
def test_the_environments_proxy_is_taken_as_kubectl_takes_it(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], server: str, wanted: str
) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = proxy.of(server, "", "file")
    assert (found.url if found else "") == wanted


def test_a_proxys_password_is_told_to_the_proxy_and_shown_to_nobody() -> None:
    found = proxy.of("https://api.example.com", "http://me:s%40cret@p:3128", "file")
    assert found is not None
    assert found.url == "http://p:3128"
    assert "s@cret" not in repr(found)
    assert found.headers() == {"proxy-authorization": "Basic " + base64.b64encode(b"me:s@cret").decode()}
