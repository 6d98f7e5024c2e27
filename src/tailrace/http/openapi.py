"""The API's description, with the refusals that it really answers."""

from typing import Any

from fastapi import FastAPI

from tailrace.http.problems import MEDIA_TYPE

_REPLACED = ("HTTPValidationError", "ValidationError")
_FAULT = {
    "type": "object",
    "title": "Fault",
    "description": "One wrong value: where it stands, and what is wrong with it.",
    "required": ["location", "message"],
    "properties": {
        "location": {"type": "string", "examples": ["query.limit"]},
        "message": {"type": "string", "examples": ["must be 200 or less"]},
    },
}
_PROBLEM = {
    "type": "object",
    "title": "Problem",
    "description": "A refusal, as RFC 9457 describes it; `detail` is a sentence that says what to do.",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string", "format": "uri-reference", "examples": ["about:blank"]},
        "title": {"type": "string", "examples": ["Invalid request"]},
        "status": {"type": "integer", "examples": [422]},
        "detail": {"type": "string"},
        "errors": {"type": "array", "items": {"$ref": "#/components/schemas/Fault"}},
    },
    "additionalProperties": True,
}


def install(app: FastAPI) -> None:
    """Have `app` describe its refusals as problem documents: those that a request may meet, and any other."""
    describe = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            _declare_problems(describe())
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]


def _declare_problems(description: dict[str, Any]) -> None:
    schemas = description.setdefault("components", {}).setdefault("schemas", {})
    for name in _REPLACED:
        schemas.pop(name, None)
    schemas |= {"Fault": _FAULT, "Problem": _PROBLEM}
    for path, operations in description["paths"].items():
        for operation in operations.values():
            operation["responses"] |= _described(operation["responses"]) | _refusals(path, operation)


def _described(responses: dict[str, Any]) -> dict[str, Any]:
    """Return the refusals that a route describes itself, in words alone, with the form that they have."""
    return {
        code: _response(response["description"])
        for code, response in responses.items()
        if code.startswith("4") and "content" not in response
    }


def _refusals(path: str, operation: dict[str, Any]) -> dict[str, Any]:
    found = {"default": _response("Any other refusal.")}
    if "422" in operation["responses"]:
        found["422"] = _response("A value is not acceptable; `errors` says which.")
    if operation.get("security"):
        found["401"] = _response("Not signed in.")
        found["403"] = _response("Your role does not allow this.")
    if "{" in path:
        found["404"] = _response("There is nothing here, or nothing that you may see.")
    if "requestBody" in operation:
        found["413"] = _response("The body is larger than the limit.")
    return found


def _response(description: str) -> dict[str, Any]:
    return {"description": description, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
