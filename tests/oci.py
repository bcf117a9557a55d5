"""A real OCI registry for tests: Debian's docker-registry, unpacked beside the checkout by `make`, or on the PATH."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

UNPACKED = Path(__file__).parents[1] / ".cache" / "registry" / "usr" / "bin" / "docker-registry"
BINARY = os.environ.get("KNOWNGOOD_REGISTRY") or shutil.which("docker-registry") or str(UNPACKED)
needs_registry = pytest.mark.skipif(
    not Path(BINARY).is_file(),
    reason="docker-registry is not here: `make .cache/registry`, where Debian's packages are",
)
USER, WORD = "mirror", "pass-of-the-mirror"
HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuuiZxsQOHkzvKUL.cFTkJZPEqib89xM6m\n"
INDEX, MANIFEST = "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"


@dataclass
class Served:
    """A running registry on this machine, without TLS."""

    host: str
    login: str = ""

    def push(self, name: str, tag: str, *machines: str) -> str:
        """An image for these architectures, as an index (of one: a plain manifest); returns its digest."""
        found = [self._manifest(name, machine) for machine in machines]
        if len(found) == 1:
            body, kind = found[0][0], MANIFEST
        else:
            entries = [
                {
                    "mediaType": MANIFEST,
                    "digest": digest(b),
                    "size": len(b),
                    "platform": {"architecture": m, "os": "linux"},
                }
                for b, m in found
            ]
            body = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).encode()
            kind = INDEX
        self._ask("PUT", f"{name}/manifests/{tag}", body, kind)
        return digest(body)

    def _manifest(self, name: str, machine: str) -> tuple[bytes, str]:
        layers = {"type": "layers", "diff_ids": list[str]()}
        config = json.dumps({"architecture": machine, "os": "linux", "rootfs": layers}).encode()
        where = self._ask("POST", f"{name}/blobs/uploads/", b"", "").headers["Location"]
        self._ask("PUT", f"{where}&digest={digest(config)}", config, "application/octet-stream")
        entry = {"mediaType": CONFIG, "digest": digest(config), "size": len(config)}
        body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST, "config": entry, "layers": []}).encode()
        self._ask("PUT", f"{name}/manifests/{digest(body)}", body, MANIFEST)
        return body, machine

    def _ask(self, method: str, what: str, body: bytes, kind: str) -> Any:
        url = what if what.startswith("http") else f"http://{self.host}/v2/{what}"
        headers = {"Content-Type": kind} if kind else {}
        headers |= {"Authorization": f"Basic {self.login}"} if self.login else {}
        request = urllib.request.Request(url, body, headers, method=method)  # noqa: S310 (http, composed here)
        try:
            return urllib.request.urlopen(request, timeout=5)  # noqa: S310
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{method} {url}: {error.code} {error.read()[:500]!r}") from error


@contextmanager
def served(folder: Path, *, login: str = "") -> Iterator[Served]:
    """The registry until the end of the block; with `login` (base64) it asks everybody for one."""
    host = f"127.0.0.1:{free_port()}"
    settings: dict[str, Any] = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "data")}},
        "http": {"addr": host},
    }
    if login:
        (folder / "htpasswd").write_text(HTPASSWD)
        settings["auth"] = {"htpasswd": {"realm": "mirror", "path": str(folder / "htpasswd")}}
    (folder / "config.yml").write_text(json.dumps(settings))
    command = [BINARY, "serve", str(folder / "config.yml")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait(host, process)
            yield Served(host, login)
        finally:
            process.terminate()


def wait(host: str, process: subprocess.Popen[bytes]) -> None:
    """Until it answers, if only that it wants a login."""
    end = time.monotonic() + 20.0
    while True:
        assert process.poll() is None, "the registry ended"
        assert time.monotonic() < end, "the registry does not answer"
        try:
            urllib.request.urlopen(f"http://{host}/v2/", timeout=1)
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
        else:
            return


def free_port() -> int:
    """A port that nobody has just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def digest(body: bytes) -> str:
    """sha256:..."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
