"""A version and the fields that declare it, one way and the other, as a component's mover says. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from knowngood.model.errors import UsageError
from knowngood.model.matrix import Declaration
from knowngood.model.mover import MoverSpec

VERSION, MINOR, IMAGE, STREAM = "{version}", "{minor}", "{image}", "{channel}"
"""What stands in a mover's field for the version, for its first two parts, for the image that brings it, and for the
update channel in which it is offered: `stable` of its minor where nothing else is asked for."""

NO_IMAGES: Mapping[str, str] = {}

SUBSCRIPTION, STARTING, CHANNEL = "Subscription", "spec.startingCSV", "spec.channel"
"""The kind that declares an operator of OLM, its version and where that is offered."""
APPLICATION, CHART, REVISION = "Application", "spec.source.chart", "spec.source.targetRevision"
"""The kind that declares a chart, which one that is, and its version."""


def shown(
    spec: MoverSpec, kind: str, version: str, images: Mapping[str, str] = NO_IMAGES, channel: str = ""
) -> dict[str, str]:
    """Path -> text of the fields with which an object of this kind declares a version. `images`: version -> image.

    UsageError where the mover has no text for it, does not know the kind, or an image is wanted and none is named.
    """
    if kind not in spec.fields:
        raise UsageError(f"no mover knows {kind}", hint=f"this one knows {', '.join(sorted(spec.fields))}")
    text = spec.values.get(version, "") if spec.values else version
    if not text:
        raise UsageError(
            f"its mover has no value for {version}", hint=f"it has {', '.join(sorted(spec.values))}"
        )
    if unnamed(spec, kind, version, images):
        raise UsageError(f"no image of {version} is named", hint=NAME_IT)
    image = images.get(version, "")
    return {path: _filled(template, text, image, channel) for path, template in spec.fields[kind].items()}


def said_of(spec: MoverSpec, declaration: Declaration, version: str, channel: str = "") -> dict[str, str]:
    """Path -> text of the fields with which a cluster declares a version; UsageError as `shown`.

    `channel`: another than the stable one of its minor.
    """
    if why := unsaid(spec, declaration, version):
        raise UsageError(
            f"declare.{declaration.component}.{why} {version}", hint="add it to the cluster file"
        )
    own = declaration.texts.get(version, {})
    return {**shown(spec, declaration.kind, version, declaration.images, channel), **own}


def unsaid(spec: MoverSpec, declaration: Declaration, version: str) -> str:
    """What a cluster file does not say of a version and would have to, in words; "" where nothing is missing."""
    if unnamed(spec, declaration.kind, version, declaration.images):
        return "images names no image of"
    return "texts says nothing of" if declaration.texts and version not in declaration.texts else ""


def version_said(spec: MoverSpec, declaration: Declaration, text: str) -> str:
    """The version that a cluster declares by the text of a declaration's field; UsageError as `version_of`."""
    found = [v for v, fields in declaration.texts.items() if fields.get(declaration.path) == text]
    if len(found) == 1:
        return found[0]
    where = f"declare.{declaration.component}"
    if found:
        what = f"{where}.texts: {text} is said of {' and '.join(found)}"
        raise UsageError(what, hint="each version has its own")
    if text.startswith(DIGEST):
        what = f"{where}: Git holds {text[:19]}..., and nobody says which version that is"
        raise UsageError(
            what, hint="name it under `texts`: {VERSION: {" + declaration.path + ": sha256:...}}"
        )
    return version_of(spec, declaration.kind, {declaration.path: text})


DIGEST = "sha256:"
NAME_IT = "name it by digest under `images`, where the cluster file declares the component"


def unnamed(spec: MoverSpec, kind: str, version: str, images: Mapping[str, str]) -> bool:
    """Whether such an object names the image that brings a version, and nobody says which that is."""
    return names_image(spec, kind) and version not in images


def names_image(spec: MoverSpec, kind: str) -> bool:
    """Whether such an object names whole images, of which one moves along with each version."""
    return any(IMAGE in template for template in spec.fields.get(kind, {}).values())


def _silent(template: str) -> bool:
    return IMAGE in template or STREAM in template


def _filled(template: str, text: str, image: str = "", channel: str = "") -> str:
    minor = ".".join(text.split(".")[:2])
    filled = template.replace(VERSION, text).replace(MINOR, minor)
    return filled.replace(IMAGE, image).replace(STREAM, channel or f"stable-{minor}")


def version_of(spec: MoverSpec, kind: str, texts: Mapping[str, str]) -> str:
    """The version that fields of an object of this kind declare; "" where all of them are empty.

    `texts` may leave fields out; an image or a channel says nothing of its version. UsageError where no version has
    these texts, or more than one.
    """
    known = spec.fields.get(kind, {})
    said = {p: text for p, text in texts.items() if text and p in known and not _silent(known[p])}
    if not said:
        return ""
    templates = {path: spec.fields[kind][path] for path in said}
    telling = [_fitting(spec, t, said[path]) for path, t in templates.items() if VERSION in t]
    fitting = set.intersection(*telling) if telling else set()
    for path, template in templates.items():
        fitting = {v for v in fitting if _filled(template, spec.values.get(v, v)) == said[path]}
    if fitting and len(fitting) == 1:
        return fitting.pop()
    which = f"may be {' or '.join(sorted(fitting))}" if fitting else "is no version that its mover knows"
    fields = ", ".join(f"{path} {text}" for path, text in sorted(said.items()))
    raise UsageError(f"{kind} with {fields} {which}", hint="mend it in Git, or the mover's fields and values")


def _fitting(spec: MoverSpec, template: str, text: str) -> set[str]:
    """The versions for which a template that holds the version gives this text."""
    before, _, after = template.partition(VERSION)
    value = text.removeprefix(before).removesuffix(after)
    if not value or f"{before}{value}{after}" != text:
        return set()
    return {v for v, shown_as in spec.values.items() if shown_as == value} if spec.values else {value}
