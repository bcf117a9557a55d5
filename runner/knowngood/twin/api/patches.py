"""JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7396)."""

from __future__ import annotations

from typing import Any

from knowngood.twin.api.errors import ApiError, bad_request, cause
from knowngood.twin.api.meta import copy
from knowngood.twin.values import Object


def _refused(why: str) -> ApiError:
    """The patch is well formed and can't be applied; upstream answers 422 with this one sentence."""
    message = "the server rejected our request due to an error in our request"
    details = {"causes": [cause("FieldValueInvalid", "", why)]}
    return ApiError(422, "Invalid", message, details=details)


def merge_patch(target: Any, patch: Any) -> Any:
    """Return target with the merge patch applied: null removes, objects merge, the rest replaces."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merge_patch(result.get(name), value)
    return result


def json_patch(target: Any, operations: Any) -> Any:
    """Return a copy of target with the operations applied; one that fails refuses the whole patch (422)."""
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    document = copy(target)
    for operation in operations:
        if not isinstance(operation, dict) or not isinstance(operation.get("path"), str):
            raise bad_request(f"not a JSON patch operation: {operation!r}")
        document = _apply(document, operation)
    return document


def _apply(document: Any, operation: Object) -> Any:
    path = _pointer(operation["path"])
    match operation.get("op"):
        case "add":
            return _add(document, path, _value(operation))
        case "remove":
            return _remove(document, path)
        case "replace":
            _get(document, path)
            return _value(operation) if not path else _add(_remove(document, path), path, _value(operation))
        case "move":
            source = _pointer(operation.get("from", ""))
            moved = _get(document, source)
            return _add(_remove(document, source), path, moved)
        case "copy":
            return _add(document, path, copy(_get(document, _pointer(operation.get("from", "")))))
        case "test":
            if _get(document, path, missing=None) != operation.get("value"):
                raise _refused(f"testing value {operation['path']} failed")
            return document
    raise bad_request(f"unknown JSON patch operation {operation.get('op')!r}")


def _value(operation: Object) -> Any:
    if "value" not in operation:
        raise bad_request(f"JSON patch operation without a value: {operation!r}")
    return operation["value"]


def _pointer(text: str) -> list[str]:
    if not text:
        return []
    if not text.startswith("/"):
        raise bad_request(f"not a JSON pointer: {text!r}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text[1:].split("/")]


_ABSENT = object()


def _index(container: list[Any], part: str, *, to_add: bool = False) -> int:
    if to_add and part == "-":
        return len(container)
    if not part.lstrip("-").isdigit():
        raise _refused(f"not an index of a list: {part!r}")
    index = int(part)
    limit = len(container) + (1 if to_add else 0)
    if not 0 <= index < limit:
        raise _refused(f"no such index: {part}")
    return index


def _get(document: Any, path: list[str], missing: Any = _ABSENT) -> Any:
    value = document
    for part in path:
        if isinstance(value, list):
            value = value[_index(value, part)]
        elif isinstance(value, dict) and part in value:
            value = value[part]
        elif missing is not _ABSENT:
            return missing
        else:
            raise _refused(f"path does not exist: /{'/'.join(path)}")
    return value


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent = _get(document, path[:-1])
    if isinstance(parent, list):
        parent.insert(_index(parent, path[-1], to_add=True), value)
    elif isinstance(parent, dict):
        parent[path[-1]] = value
    else:
        raise _refused(f"nothing can be added at /{'/'.join(path)}")
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        raise _refused("the whole document can't be removed")
    _get(document, path)
    parent = _get(document, path[:-1])
    if isinstance(parent, list):
        del parent[_index(parent, path[-1])]
    else:
        del parent[path[-1]]
    return document
