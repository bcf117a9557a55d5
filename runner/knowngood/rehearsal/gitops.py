"""The GitOps repository a rehearsal starts from: what Argo CD would hold for this cluster at rest.

Objects are plain dicts by path; `adapters.stage` writes them as YAML and commits them. Each declared component has
its object, of the kind that the cluster file names, with the fields that its mover writes the release's version in.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from knowngood.model.declared import Scope
from knowngood.model.errors import UsageError
from knowngood.model.field import ObjectRef
from knowngood.model.matrix import Declaration
from knowngood.model.values import Object
from knowngood.planner.moving import APPLICATION, shown
from knowngood.planner.readiness.rights import FLASHED
from knowngood.rehearsal import sharing
from knowngood.rehearsal.at_rest import AtRest
from knowngood.rehearsal.charts import application
from knowngood.rehearsal.layout import Placed, laid_out
from knowngood.rehearsal.objects import SPECS, cluster_policy, made, nic_firmware_source, nic_policy
from knowngood.rehearsal.operators import EXTENSION, SUBSCRIPTION, extension, subscription

DRIVER, DOCA = "nvidia-driver", "doca-ofed"
POLICY = ObjectRef("nvidia.com/v1", "ClusterPolicy", "gpu-cluster-policy")
NIC_POLICY = ObjectRef("mellanox.com/v1alpha1", "NicClusterPolicy", "nic-cluster-policy")


def files(rest: AtRest) -> dict[str, Object]:
    """Path in the repository to the object kept there. UsageError: the twin can't play this cluster."""
    placed: dict[str, Placed] = {}
    for declaration in rest.cluster.declarations:
        if declaration.component not in rest.release.components:
            continue
        by_ring = declaration.scope is Scope.NODE
        for ring in [r.name for r in rest.cluster.rings] if by_ring else [""]:
            named = declaration.of_ring(ring)
            if named.file not in placed:
                placed[named.file] = Placed(made(named.object, _spec(rest, declaration, ring)))
            placed[named.file].fields |= rest.texts(declaration)
    return laid_out(rest.cluster, placed | _beside(rest, placed))


def _spec(rest: AtRest, declaration: Declaration, ring: str) -> Object:
    if declaration.kind == SUBSCRIPTION:
        return subscription(rest, declaration)
    if declaration.kind == EXTENSION:
        return extension(rest, declaration)
    if declaration.kind == APPLICATION:
        return application(rest, declaration)
    if declaration.kind not in SPECS:
        raise UsageError(
            f"declare.{declaration.component}: the twin does not play {declaration.kind}",
            where=rest.cluster.where,
            hint=f"it plays {', '.join(sorted([*SPECS, APPLICATION, EXTENSION, SUBSCRIPTION]))}",
        )
    return SPECS[declaration.kind](rest, ring)


def _beside(rest: AtRest, placed: dict[str, Placed]) -> dict[str, Placed]:
    """What the operators need beside what is declared: a ClusterPolicy, and DOCA-OFED where the release has it."""
    kinds = {one.object["kind"] for one in placed.values()}
    left = DRIVER in rest.cluster.follows  # to the operator, by a policy that names no version
    if not left and not kinds & {"NVIDIADriver", POLICY.kind}:
        raise UsageError(
            f"cluster {rest.cluster.name} does not declare {DRIVER}; the twin needs that",
            where=rest.cluster.where,
            hint="give declare.nvidia-driver an object of kind ClusterPolicy, or NVIDIADriver and a file with {ring}",
        )
    declared = rest.cluster.declarations[0] if left else rest.cluster.declaration(DRIVER)
    file = declared.file.replace("{ring}", "x")
    reading = [a.path for a in rest.cluster.gitops.applications if a.reads(file)]
    folder = PurePosixPath(reading[0]) if reading else PurePosixPath(file).parent
    found: dict[str, Placed] = {}
    if POLICY.kind not in kinds and not rest.by_helm:
        policy = made(POLICY, cluster_policy(rest, own_driver=left))
        found[str(folder / "clusterpolicy.yaml")] = Placed(policy)
    if not rest.by_helm:
        maps = sharing.config_maps(rest)
        found |= {str(folder / f"{name}.yaml"): Placed(config_map) for name, config_map in maps.items()}
    if DOCA in rest.release.components and not kinds & {NIC_POLICY.kind, "NicNodePolicy"}:
        found[_network_file(rest, folder)] = Placed(made(NIC_POLICY, nic_policy(rest)))
    return found | _sources(rest)


def _sources(rest: AtRest) -> dict[str, Placed]:
    """An image of NIC firmware for each version that is known, as a team keeps them for the way back."""
    found = {}
    for declared in (d for d in rest.cluster.declarations if d.kind == FLASHED):
        mover, edges = rest.movers[declared.component], rest.edges.get(declared.component)
        own = rest.release.components.get(declared.component)
        known = [*(edges.versions if edges else ()), own or ""]
        for version in dict.fromkeys(v for v in known if own and v.split(".")[0] == own.split(".")[0]):
            name = shown(mover, FLASHED, version)[declared.path]
            file = str(PurePosixPath(declared.file).parent / f"{name}.yaml")
            found[file] = Placed(nic_firmware_source(name, declared.object.namespace, version))
    return found


def _network_file(rest: AtRest, folder: PurePosixPath) -> str:
    """NicClusterPolicy's path: in the application whose folder is `network`, else beside ClusterPolicy."""
    paths = [PurePosixPath(application.path) for application in rest.cluster.gitops.applications]
    own = next((path for path in paths if path.name == "network"), folder)
    return str(own / "nicclusterpolicy.yaml")
