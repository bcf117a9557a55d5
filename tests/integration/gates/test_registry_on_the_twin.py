"""The registry gate: a real registry holds what a twin's nodes pull, by the cluster's own mirror sets."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.integration.gates.bench import Bench
from tests.integration.play import awaited, staged
from tests.oci import Served, needs_registry, served

from knowngood.adapters.judging import image_list, operand_view
from knowngood.adapters.kubernetes.client import ApiError, path
from knowngood.adapters.upstream import oci
from knowngood.model.verdict import Judgement, Verdict

NODE, RELEASE = "fra-gpu-1", "h200-4.18-r580.105"
LOGIN = base64.b64encode(b"mirror:pass-of-the-mirror").decode()
GROUP = "config.openshift.io"
KINDS = {"imagetagmirrorsets": "ImageTagMirrorSet", "images": "Image"}

pytestmark = needs_registry


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("registry-gate")
    with staged(folder / "stage", "fra-prod") as play:
        yield Bench(play, folder / "run", RELEASE)


@pytest.fixture(scope="module")
def mirror(bench: Bench, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """All that is pulled, mirrored host by host behind a login; the cluster knows it by a mirror set and its secret."""
    with served(tmp_path_factory.mktemp("mirror"), login=LOGIN) as registry:
        images = {oci.parse(image) for image in wanted(bench)}
        for image in images:
            registry.push(f"{image.host}/{image.name}", image.wanted, "amd64")
        for plural, kind in KINDS.items():
            serve(bench, plural, kind)
        hosts = sorted({image.host for image in images})
        entries = [
            {"source": h, "mirrors": [f"{registry.host}/{h}"], "mirrorSourcePolicy": "NeverContactSource"}
            for h in hosts
        ]
        make(bench, "imagetagmirrorsets", "ImageTagMirrorSet", "all", {"imageTagMirrors": entries})
        make(
            bench, "images", "Image", "cluster", {"registrySources": {"insecureRegistries": [registry.host]}}
        )
        secret = {"auths": {registry.host: {"auth": LOGIN}}}
        keep_secret(bench, json.dumps(secret))
        yield registry


def wanted(bench: Bench) -> set[str]:
    nodes = image_list.machines(bench.kube, [NODE])
    spaces = operand_view.namespaces(bench.cluster, bench.movers)
    present = image_list.running(bench.kube, spaces, nodes)
    target = image_list.coming(bench.kube, bench.cluster, bench.release.components, nodes)
    return {*present.images, *target.images}


def serve(bench: Bench, plural: str, kind: str) -> None:
    version = {"name": "v1", "served": True, "storage": True}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"plural": plural, "singular": kind.lower(), "kind": kind, "listKind": f"{kind}List"}
    spec = {"group": GROUP, "names": names, "scope": "Cluster", "versions": [{**version, "schema": schema}]}
    definition = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition"}
    body = {**definition, "metadata": {"name": f"{plural}.{GROUP}"}, "spec": spec}
    bench.kube.create(path("apiextensions.k8s.io/v1", "customresourcedefinitions"), body)

    def there() -> bool:
        try:
            bench.kube.list(path(f"{GROUP}/v1", plural))
        except ApiError:
            return False
        return True

    awaited(there, kind)


def make(bench: Bench, plural: str, kind: str, name: str, spec: dict[str, Any]) -> None:
    body = {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}
    bench.kube.create(path(f"{GROUP}/v1", plural), body)


def keep_secret(bench: Bench, text: str) -> None:
    space, name = image_list.PULL_SECRET
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}}
    if bench.kube.find(path("v1", "namespaces", space)) is None:
        bench.kube.create(path("v1", "namespaces"), body)
    data = {".dockerconfigjson": base64.b64encode(text.encode()).decode()}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": space}}
    body |= {"type": "kubernetes.io/dockerconfigjson", "data": data}
    if bench.kube.find(path("v1", "secrets", name, space)):
        bench.kube.delete(path("v1", "secrets", name, space))
    bench.kube.create(path("v1", "secrets", "", space), body)


def judged(bench: Bench) -> Judgement:
    return bench.judge("registry", nodes=(NODE,))


def test_what_is_mirrored_passes_and_no_login_is_written_anywhere(bench: Bench, mirror: Served) -> None:
    images = wanted(bench)
    assert any(":580.105.08-rhcos4.18" in image for image in images), images
    found = judged(bench)
    assert (found.verdict, found.trouble) == (Verdict.PASS, ""), found.bad()
    (result,) = found.results
    assert result.measured["presentImages"] > 5
    assert result.measured["targetImages"] >= 2
    written = [file for file in bench.gates._folder.rglob("*") if file.is_file()]
    assert written
    assert not [
        file
        for file in written
        if LOGIN.encode() in file.read_bytes() or b"pass-of-the-mirror" in file.read_bytes()
    ]


def test_an_image_that_was_pruned_fails_and_is_named(bench: Bench, mirror: Served, tmp_path: Path) -> None:
    (gone,) = [image for image in wanted(bench) if ":580.105.08-rhcos4.18" in image]
    (other,) = bench.kube.list(path(f"{GROUP}/v1", "imagetagmirrorsets"))
    entry = {
        "source": oci.parse(gone).source,
        "mirrors": [f"{mirror.host}/pruned"],
        "mirrorSourcePolicy": "NeverContactSource",
    }
    where = path(f"{GROUP}/v1", "imagetagmirrorsets", other["metadata"]["name"])
    bench.kube.patch(where, [{"op": "add", "path": "/spec/imageTagMirrors/-", "value": entry}])
    found = judged(bench)
    at = len(other["spec"]["imageTagMirrors"])
    bench.kube.patch(where, [{"op": "remove", "path": f"/spec/imageTagMirrors/{at}"}])
    assert found.verdict is Verdict.FAIL
    assert f"{gone}: {mirror.host}/pruned: it is not there (404)" in found.bad()[0].reason


def test_a_login_that_no_longer_opens_proves_nothing(bench: Bench, mirror: Served) -> None:
    keep_secret(
        bench, json.dumps({"auths": {mirror.host: {"auth": base64.b64encode(b"mirror:old").decode()}}})
    )
    found = judged(bench)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "denied (401)" in found.bad()[0].reason
