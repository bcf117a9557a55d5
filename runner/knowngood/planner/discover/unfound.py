"""Values that a cluster has and no file of the checkout is known to say: why, and what would have to change. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from knowngood.model.errors import UsageError
from knowngood.model.gitops import folder_of
from knowngood.model.mover import MoverSpec
from knowngood.model.values import Object
from knowngood.planner.discover.seen import Seen, Told, name_of
from knowngood.planner.moving import APPLICATION, VERSION, version_of

CONFIG_MAP = "ConfigMap"
SET = "ApplicationSet"
KUSTOMIZE_KNOWN = frozenset(("version", "commonAnnotations", "commonLabels"))
"""What an Application may tell kustomize that changes no version."""


def unfound(seen: Seen, told: Told, component: str, mover: MoverSpec) -> bool:
    """Ask where Git says what a live object says, naming the Application that brings it, and why; whether it does.

    An object that says otherwise than what is known to run says nothing of it.
    """
    running = told.versions.get(component)
    if running is None and mover.values:
        return False  # a setting that an API's default may have made
    for application in seen.of(APPLICATION):
        for kind, name in _resources(application, mover):
            live = next((o for o in seen.of(kind) if name_of(o) == name), None)
            paths = [p for p, text in mover.fields[kind].items() if VERSION in text]
            for path, text in ((p, v) for p in paths if live and (v := _scalar(live, p))):
                said = _version(mover, kind, path, text)
                if said != (running.text if running else said) or not said:
                    continue
                what = f"{component}: {kind} {name} has {path} {text}, and no file of the checkout is known to say it"
                why = _unread(seen, application) or _why(application)
                told.ask("declare", f"{what}: Application {name_of(application)} {why}")
                return True
    return False


def unrendered(application: Object) -> str:
    """What of an Application's source knowngood does not make as Argo CD does, in words, "" for nothing."""
    spec = application.get("spec") or {}
    several = [s for s in spec.get("sources") or () if s.get("path")]
    source: Object = spec.get("source") or next(iter(several), {})
    if len(several) > 1:
        return "reads several folders: name each as an Application of its own, or only the first is followed"
    if source.get("plugin"):
        return "makes its objects by a plugin, which is not run here: no change of its files can be proven"
    directory = source.get("directory") or {}
    if odd := sorted(k for k in ("include", "exclude", "jsonnet") if directory.get(k)):
        return (
            f"reads its folder by directory.{odd[0]}, which is not followed here: give it a folder of its own"
        )
    if odd := sorted(set(source.get("kustomize") or {}) - KUSTOMIZE_KNOWN):
        return f"tells kustomize {', '.join(odd)} itself, which is not rendered here: write it into a kustomization"
    return ""


def _unread(seen: Seen, application: Object) -> str:
    """What its folder reads and could not be read: anything may stand there."""
    spec = application.get("spec") or {}
    for folder in filter(None, map(folder_of, (spec.get("source") or {}, *(spec.get("sources") or ())))):
        followed = seen.reads.get(folder)
        for at, why in seen.unread.items():
            file = at.partition(":")[0]
            if file in followed if followed else file.startswith(f"{folder}/"):
                return f"reads what could not be read, {at}: {why}"
    return ""


def _why(application: Object) -> str:
    if why := unrendered(application):
        return why
    spec = application.get("spec") or {}
    sources = [spec.get("source") or {}, *(spec.get("sources") or ())]
    made_by = next((o["name"] for o in _owners(application) if o.get("kind") == SET), "")
    way = f"ApplicationSet {made_by} makes it, so " if made_by else ""
    if any(s.get("chart") for s in sources) and not any(s.get("path") for s in sources):
        files = any((s.get("helm") or {}).get("valueFiles") for s in sources)
        from_files = "and gives it values files; " if files else ""
        then = "write the value into helm.valuesObject of its manifest here, or vendor the chart in the repository"
        return f"brings it by a chart from elsewhere, {from_files}{way}{then}"
    if made_by:
        then = "where its template or generator says it, no single file is the value's: keep it in a file that is read"
        return f"is made by ApplicationSet {made_by}: {then}"
    return "makes it by a chart's template or a generator: let an object, a patch or a chart's values say it"


def _version(mover: MoverSpec, kind: str, path: str, text: str) -> str:
    try:
        return version_of(mover, kind, {path: text})
    except UsageError:
        return ""


def _owners(application: Object) -> Iterator[Object]:
    yield from application["metadata"].get("ownerReferences") or ()


def _resources(application: Object, mover: MoverSpec) -> Iterator[tuple[str, str]]:
    kinds = set(mover.fields) - {APPLICATION, CONFIG_MAP}
    for one in (application.get("status") or {}).get("resources") or ():
        if one.get("kind") in kinds:
            yield str(one["kind"]), str(one.get("name"))


def _scalar(obj: Object, path: str) -> str:
    at: Any = obj
    for key in path.split("."):
        at = at.get(key) if isinstance(at, Mapping) else None
    return at if isinstance(at, str) else ""
