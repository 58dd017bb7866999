"""Every error in OpenAI's form, and the token in the documentation."""

from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from tradewright.errors import TradewrightError
from tradewright.serve.failure import ServeError
from tradewright.serve.gate import OPEN_PATHS

RETRY_AFTER_S = 1


def add_handlers(app: FastAPI) -> None:
    """Give every error OpenAI's form."""

    def respond(error: ServeError) -> Response:
        headers = {"retry-after": str(RETRY_AFTER_S)} if error.status == 429 else None
        return Response(error.body(), status_code=error.status, media_type="application/json", headers=headers)

    @app.exception_handler(ServeError)
    async def refused(_: Request, error: ServeError) -> Response:
        return respond(error)

    @app.exception_handler(TradewrightError)
    async def cannot(_: Request, error: TradewrightError) -> Response:
        return respond(ServeError(400, " ".join(str(error).split())))

    @app.exception_handler(RequestValidationError)
    async def malformed(_: Request, error: RequestValidationError) -> Response:
        faults = [
            (".".join(str(part) for part in fault["loc"] if part != "body"), str(fault["msg"]))
            for fault in error.errors()
        ]
        text = "; ".join(f"{place}: {problem}" if place else problem for place, problem in faults)
        return respond(ServeError(422, text, param=faults[0][0] or None))

    @app.exception_handler(HTTPException)
    async def no_route(_: Request, error: HTTPException) -> Response:
        response = respond(ServeError(error.status_code, str(error.detail)))
        response.headers.update(error.headers or {})
        return response

    @app.exception_handler(Exception)
    async def failed(_: Request, error: Exception) -> Response:
        return respond(ServeError(500, "the model failed; see the server's log"))


def declare_token(app: FastAPI, token: str | None) -> None:
    """Say in the documentation what the gate asks for."""
    make = app.openapi

    def openapi() -> dict[str, Any]:
        content = make()
        if token is not None:
            content.setdefault("components", {})["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            for path, item in content["paths"].items():
                for operation in item.values():
                    operation["security"] = [] if path in OPEN_PATHS else [{"token": []}]
        return content

    app.openapi = openapi  # type: ignore[method-assign] # FastAPI's documented way to extend it
