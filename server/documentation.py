"""The OpenAPI document, and a page of it for people that loads nothing from anywhere else."""

from __future__ import annotations

import html
import json
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse

from server.answers import server_version
from server.schemas import Problem

__all__ = ["describe", "docs_page"]

_DESCRIPTION = """\
Send a picture or a film; be told whether it carries a mark, whose work it is, and whether models
may be trained on it.

A permission is `not-permitted`, `constrained` (with terms), `allowed` or `unknown`, and `unknown`
is to be read as no. Callers with a token are told how sure a verdict is; others get the verdict and
the permission. Errors are problem documents (RFC 9457)."""
_STYLE = """\
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font: 0.875rem/1.5 ui-monospace, monospace; }
pre { overflow-x: auto; padding: 0.75rem; border: 1px solid #8886; }
section { border-top: 1px solid #8886; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 1rem 0.25rem 0; }
.method { font-weight: 600; margin-right: 0.5rem; }
"""
_OPEN = ("/v1/detect", "/v1/permissions", "/v1/jobs")  # to strangers, if the settings let them
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def describe(app: FastAPI, *, strangers: bool) -> None:
    """Give an application its OpenAPI document, with the problems in it.

    Parameters
    ----------
    app : FastAPI
    strangers : bool
        Whether callers without a token may detect and look up.
    """

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(
                title="Sukashi detect service",
                version=server_version(),
                description=_DESCRIPTION,
                routes=app.routes,
            )
            schemas = made.setdefault("components", {}).setdefault("schemas", {})
            schemas["Problem"] = Problem.model_json_schema()
            for path, entry in made["paths"].items():
                for operation in entry.values():
                    if strangers and path.startswith(_OPEN):
                        operation["security"] = [{}, *operation.get("security", ())]
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]  # FastAPI's own way of doing it


def docs_page(document: dict[str, Any]) -> HTMLResponse:
    """Return the OpenAPI document as a page."""
    parts = [_operations(path, entry) for path, entry in document["paths"].items()]
    schemas = "".join(
        f"<section id='{_e(name)}'><h3>{_e(name)}</h3><pre>{_e(_pretty(schema))}</pre></section>"
        for name, schema in sorted(document["components"]["schemas"].items())
    )
    paragraphs = "".join(f"<p>{_e(each)}</p>" for each in _DESCRIPTION.split("\n\n"))
    title = _e(document["info"]["title"])
    return HTMLResponse(
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><title>{title}</title>"
        "<meta name='viewport' content='width=device-width'>"
        f"<style>{_STYLE}</style></head><body><main><h1>{title}</h1>{paragraphs}"
        "<p>For programs: <a href='/openapi.json'>/openapi.json</a>.</p>"
        f"{''.join(parts)}<h2>Types</h2>{schemas}</main></body></html>",
        headers={"Content-Security-Policy": _POLICY},
    )


def _operations(path: str, entry: dict[str, Any]) -> str:
    return "".join(_operation(method, path, each) for method, each in entry.items())


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    parameters = "".join(
        f"<tr><td><code>{_e(each['name'])}</code></td><td>{_e(each['in'])}</td>"
        f"<td>{_e(each.get('description', ''))}</td></tr>"
        for each in operation.get("parameters", ())
    )
    bodies = "".join(
        f"<tr><td><code>{_e(kind)}</code></td><td>body</td><td>{_schema(each)}</td></tr>"
        for kind, each in operation.get("requestBody", {}).get("content", {}).items()
    )
    answers = "".join(
        f"<tr><td>{_e(status)}</td><td>{_e(each['description'])}</td><td>{_answer(each)}</td></tr>"
        for status, each in operation["responses"].items()
    )
    asked = f"<h4>Sent</h4><table>{parameters}{bodies}</table>" if parameters or bodies else ""
    return (
        f"<section><h3><span class='method'>{_e(method.upper())}</span><code>{_e(path)}</code></h3>"
        f"<p>{_e(operation.get('description', operation.get('summary', '')))}</p>"
        f"{asked}<h4>Answered</h4><table>{answers}</table></section>"
    )


def _answer(response: dict[str, Any]) -> str:
    return ", ".join(_schema(each) for each in response.get("content", {}).values())


def _schema(content: dict[str, Any]) -> str:
    names = []
    schema = content.get("schema", {})
    for each in (schema, *schema.get("anyOf", ())):
        if "$ref" in each:
            name = _e(each["$ref"].rpartition("/")[2])
            names.append(f"<a href='#{name}'>{name}</a>")
    return " or ".join(names)


def _pretty(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=2, ensure_ascii=False)


def _e(text: object) -> str:
    return html.escape(str(text), quote=True)
