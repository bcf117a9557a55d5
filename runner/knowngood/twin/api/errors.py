"""What the API server answers when it says no: Status objects with the codes and reasons clients act on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from knowngood.twin.values import Object


class ApiError(Exception):
    """An HTTP error answer. `details` go into the Status, `headers` beside it."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: Object | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.headers = dict(headers or {})

    def status(self) -> Object:
        """Return the Status object of this answer."""
        body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "code": self.code,
        }
        if self.reason:
            body["reason"] = self.reason
        if self.details:
            body["details"] = self.details
        return body


def qualified(plural: str, group: str) -> str:
    """Return `pods` or `deployments.apps`, as error messages name a resource."""
    return f"{plural}.{group}" if group else plural


def _details(plural: str, group: str, name: str) -> Object:
    details = {"name": name, "group": group, "kind": plural}
    return {key: value for key, value in details.items() if value}


def not_found(plural: str, group: str, name: str) -> ApiError:
    """No such object."""
    message = f'{qualified(plural, group)} "{name}" not found'
    return ApiError(404, "NotFound", message, details=_details(plural, group, name))


def no_such_path() -> ApiError:
    """The path names nothing that is served."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def already_exists(plural: str, group: str, name: str) -> ApiError:
    """An object of that name is there."""
    message = f'{qualified(plural, group)} "{name}" already exists'
    return ApiError(409, "AlreadyExists", message, details=_details(plural, group, name))


def conflict(plural: str, group: str, name: str, why: str) -> ApiError:
    """The write was based on an older state than the present one."""
    message = f'Operation cannot be fulfilled on {qualified(plural, group)} "{name}": {why}'
    return ApiError(409, "Conflict", message, details=_details(plural, group, name))


STALE = "the object has been modified; please apply your changes to the latest version and try again"


def invalid(kind: str, group: str, name: str, causes: Sequence[Object]) -> ApiError:
    """The object breaks its schema or a rule; `causes` are {reason, field, message}."""
    texts = [f"{cause['field']}: {cause['message']}" for cause in causes]
    text = texts[0] if len(texts) == 1 else f"[{', '.join(texts)}]"
    details = {"name": name, "group": group, "kind": kind, "causes": list(causes)}
    message = f'{qualified(kind, group)} "{name}" is invalid: {text}'
    return ApiError(422, "Invalid", message, details={key: value for key, value in details.items() if value})


def cause(reason: str, field: str, message: str) -> Object:
    """Return one cause of an `invalid` answer; reason is FieldValueInvalid, FieldValueRequired, ..."""
    return {"reason": reason, "field": field, "message": message}


def bad_request(message: str) -> ApiError:
    """The request can't be understood."""
    return ApiError(400, "BadRequest", message)


def forbidden(plural: str, group: str, name: str, why: str) -> ApiError:
    """Understood, and not allowed."""
    what = f'{qualified(plural, group)} "{name}"' if name else qualified(plural, group)
    return ApiError(403, "Forbidden", f"{what} is forbidden: {why}", details=_details(plural, group, name))


def forbidden_path(why: str) -> ApiError:
    """Understood, about no resource, and not allowed."""
    return ApiError(403, "Forbidden", f"forbidden: {why}", details={})


def unauthorized() -> ApiError:
    """No valid token."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def expired(message: str) -> ApiError:
    """A watch or a continue token is older than the history kept: list again."""
    return ApiError(410, "Expired", message)


def unsupported_media(message: str) -> ApiError:
    """The body's content type isn't understood for this resource."""
    return ApiError(415, "UnsupportedMediaType", message)


def method_not_allowed() -> ApiError:
    """The resource is there, the verb isn't."""
    return ApiError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource"
    )


def internal(message: str) -> ApiError:
    """Something behind the API server failed."""
    return ApiError(500, "InternalError", f"Internal error occurred: {message}")
