"""The ASGI application: A2A's routes, the card, health and metrics, behind the guard."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from email.utils import formatdate

from google.protobuf.json_format import MessageToDict
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast.a2a.handler import Desk, Handler
from holdfast.a2a.routes import echo, routes
from holdfast.server import logs
from holdfast.server.api import api
from holdfast.server.calls import refusal
from holdfast.server.gate import Gate, Keys
from holdfast.server.guard import CARD, Done, Guard
from holdfast.server.health import Metrics, health_routes
from holdfast.server.settings import Settings

CARD_SECONDS = 300


def make_app(desk: Desk, handler: Handler | None = None, metrics: Metrics | None = None) -> Starlette:
    """The whole application over an open Holdfast, without a guard."""
    app = Starlette(routes=make_routes(desk, handler, metrics), exception_handlers={HTTPException: give_refusal})
    app.router.redirect_slashes = False  # else any address leads to one of a tenant that there is not
    return app


async def give_refusal(request: Request, error: Exception) -> Response:
    """For an address that leads nowhere, or not with that verb: a sentence, in the words of the binding."""
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        reason, sentence = "WRONG_VERB", f"there is no {request.method} here; allowed: {(error.headers or {})['Allow']}"
    else:
        reason, sentence = "NO_SUCH_ADDRESS", f"there is nothing here; {CARD} says where this server's interfaces are"
    scope = request.scope
    below = scope["path"].removeprefix(scope.get("app_root_path", scope.get("root_path", "")))
    body = refusal(below, None, error.status_code, reason, sentence)
    return JSONResponse(body, error.status_code, error.headers)


def make_guarded(desk: Desk, settings: Settings, keys: Keys, handler: Handler | None = None) -> Guard:
    """The whole application behind its guard, counted and logged."""
    metrics = Metrics(desk.hf, settings.metrics_for)

    def told(done: Done) -> None:
        metrics.tell(done)
        logs.tell(done)

    app = make_app(desk, handler, metrics)
    gate = Gate(keys, settings.limits)
    metrics.watch(lambda: gate.waiting)
    return Guard(app, gate, names=settings.names, echo=echo_if(desk), told=told, turns=desk.turns)


def echo_if(desk: Desk) -> Callable[[str | None], Mapping[str, str]]:
    """The response header for requested extensions; none where pausing is switched off."""
    return lambda requested: echo(requested) if desk.hf.pause_resume else {}


def make_routes(desk: Desk, handler: Handler | None = None, metrics: Metrics | None = None) -> list[BaseRoute]:
    """Every route of the server; ``handler`` answers A2A's methods."""
    made = formatdate(usegmt=True)  # the card is the same for as long as the server runs

    async def give_card(request: Request) -> Response:
        body = MessageToDict(desk.card(str(request.base_url).rstrip("/")))
        tag = f'"{hashlib.sha256(repr(body).encode()).hexdigest()[:16]}"'
        headers = {"Cache-Control": f"public, max-age={CARD_SECONDS}", "ETag": tag, "Last-Modified": made}
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return JSONResponse(body, headers=headers)

    health = health_routes(desk.hf, metrics or Metrics(desk.hf))
    return [Route(CARD, give_card), *health, *api(desk), *routes(desk, handler or Handler(desk))]
