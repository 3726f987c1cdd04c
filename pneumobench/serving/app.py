"""The application: what is asked for under which address."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException as RouteError

from pneumobench.prediction.asked import AskedBundle
from pneumobench.prediction.bundle import FOR_RESEARCH
from pneumobench.serving.access import Access
from pneumobench.serving.counts import MEDIA_TYPE, Counts
from pneumobench.serving.desk import Desk
from pneumobench.serving.explanation import Explanation, panel
from pneumobench.serving.films import Held, received
from pneumobench.serving.guard import Guard
from pneumobench.serving.limits import Limits
from pneumobench.serving.page import the_page
from pneumobench.serving.refusals import Body, Refusal, problem_schema
from pneumobench.serving.replies import Answer, BundleAbout, Health, about

PNG: Final = "image/png"
_FILE: Final = {"schema": {"type": "string", "format": "binary"}}
_FORM: Final = {
    "schema": {"type": "object", "properties": {"film": _FILE["schema"]}, "required": ["film"]},
}
FILM_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "description": "One JPEG, PNG or DICOM file. Its content decides what it is, not its declared type or name.",
        "content": {
            "application/octet-stream": _FILE,
            "image/jpeg": _FILE,
            PNG: _FILE,
            "application/dicom": _FILE,
            "multipart/form-data": _FORM,
        },
    }
}
REFUSED: Final[dict[int | str, dict[str, Any]]] = {
    401: problem_schema("No token, or another one."),
    408: problem_schema("The film came too slowly."),
    413: problem_schema("The film is too large."),
    415: problem_schema("The body is encoded."),
    422: problem_schema("The film cannot be read; says why."),
    429: problem_schema("Too many requests; Retry-After says when."),
    503: problem_schema("Too many films wait; Retry-After says when."),
}


def create_app(predictor: AskedBundle, *, access: Access, limits: Limits | None = None) -> FastAPI:
    """Return the application that answers with a bundle; its networks are loaded as it starts.

    Args:
        predictor: the networks.
        access: who may ask.
        limits: what is taken at most; None = the usual.
    """
    limits = limits or Limits()
    desk, held, counts = Desk(predictor, limits), Held(limits), Counts()

    @asynccontextmanager
    async def open_while_serving(_: FastAPI) -> AsyncIterator[None]:
        the_page()
        await desk.load()
        yield
        desk.close()

    app = FastAPI(
        title="pneumobench", version=version("pneumobench"), lifespan=open_while_serving, docs_url=None, redoc_url=None,
        description=f"{FOR_RESEARCH} Asks the networks of a bundle about chest X-rays of children; no film is kept.",
    )  # fmt: skip
    app.add_middleware(Guard, access=access, limits=limits, counts=counts)

    @app.exception_handler(RouteError)
    async def no_such_place(_: Request, error: RouteError) -> Response:
        return problem(error.status_code, str(error.detail), error.headers)

    @asynccontextmanager
    async def film_of(request: Request) -> AsyncIterator[bytes]:
        if not desk.ready:
            raise Refusal(503, "the networks are being loaded; send it again later.", retry_s=5)
        async with received(Body(request.receive), request.headers, limits, held) as content:
            yield content

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        made = the_page()
        return HTMLResponse(made.html, headers={"Content-Security-Policy": made.policy})

    @app.get("/api/bundle", summary="What answers")
    async def bundle() -> BundleAbout:
        return about(predictor, film_bytes=limits.film_bytes)

    @app.post("/api/predict", summary="Ask about a film", responses=REFUSED, openapi_extra=FILM_BODY)
    async def predict(request: Request) -> Answer:
        async with film_of(request) as content:
            return await desk.answer(content, request.is_disconnected)

    @app.post(
        "/api/explain", summary="Where the networks look; with `Accept: image/png` as a picture",
        responses={200: {"content": {PNG: _FILE}}, **REFUSED}, response_model=Explanation, openapi_extra=FILM_BODY,
    )  # fmt: skip
    async def explain(request: Request) -> Explanation | Response:
        async with film_of(request) as content:
            said = await desk.explanation(content, request.is_disconnected)
        if request.headers.get("accept", "").startswith(PNG):
            return Response(await run_in_threadpool(panel, said), media_type=PNG)
        return said

    @app.get("/health", summary="Whether films are answered")
    async def health(response: Response) -> Health:
        response.status_code = 200 if desk.ready else 503
        return Health(status="ready" if desk.ready else "loading")

    @app.get("/metrics", summary="Counts for Prometheus", response_class=PlainTextResponse)
    async def metrics() -> Response:
        gauges = {
            "ready": ("1 = films are answered.", float(desk.ready)),
            "waiting": ("Films that are asked about or wait.", float(desk.waiting)),
            "held_bytes": ("Bytes of films in memory.", float(held.bytes)),
        }
        return Response(counts.text(gauges, bundle=predictor.opened.sha256), media_type=MEDIA_TYPE)

    return app


def problem(status: int, words: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return what is said of an address that is none, in the form of every refusal."""
    return JSONResponse({"problem": words, "notice": FOR_RESEARCH}, status_code=status, headers=dict(headers or {}))
