"""Pages from templates: in the reader's language, light or dark as they chose, and locked in.

Nothing of a page comes from anywhere else: the policy below lets a browser load from this service
and from what the reader has in hand, and run no script that stands in the page itself.
"""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from server.answers import server_version
from server.auth import Caller
from server.messages import LANGUAGES, Messages, chosen_language, messages
from server.told import clock, heads, odds

__all__ = ["POLICY", "STATIC", "language_of", "page", "secured"]

_FOLDER = Path(__file__).parent / "pages"
STATIC = _FOLDER / "static"
# Pictures and films in hand are shown from the browser's own memory (blob:), what was drawn over
# them comes with the page (data:).
POLICY = "; ".join(
    (
        *("default-src 'none'", "base-uri 'none'", "frame-ancestors 'none'", "form-action 'self'"),
        *("script-src 'self'", "style-src 'self'", "font-src 'self'", "connect-src 'self'"),
        *("img-src 'self' blob: data:", "media-src blob:"),
    )
)
_HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
}


def page(
    request: Request, template: str, *, status: int = 200, here: str = "", **values: Any
) -> HTMLResponse:
    """Return a page.

    Parameters
    ----------
    request : Request
    template : str
        File in ``pages/templates``.
    status : int
    here : str
        Which entry of the menu this is.
    **values
        Given to the template.
    """
    t = language_of(request)
    user: Caller | None = getattr(request.state, "user", None)
    other = next(each for each in LANGUAGES if each != t.language)
    theme = request.cookies.get("theme")
    html = (
        _environment()
        .get_template(template)
        .render(
            t=t,
            theme=theme if theme in {"light", "dark"} else None,
            here=here,
            user=user,
            csrf=request.app.state.auth.csrf(request),
            other_language={"code": other, "href": _with_language(request, other)},
            version=server_version(),
            **values,
        )
    )
    response = HTMLResponse(html, status)
    secured(response)
    response.headers["Cache-Control"] = "no-store"
    response.headers["Vary"] = "Accept-Language, Cookie"
    wanted = request.query_params.get("lang")
    if wanted in LANGUAGES:
        response.set_cookie("lang", wanted, max_age=365 * 86400, samesite="strict")
    return response


def secured(response: Any) -> None:
    """Add what keeps a browser from doing more than the page needs."""
    response.headers.update(_HEADERS)


def language_of(request: Request) -> Messages:
    """Return the messages in the language of this request."""
    fixed = request.app.state.settings.language
    wanted = request.query_params.get("lang") or request.cookies.get("lang")
    if fixed != "auto" and wanted not in LANGUAGES:
        wanted = fixed
    return messages(chosen_language(wanted, request.headers.get("accept-language", "")))


def _with_language(request: Request, language: str) -> str:
    """Return the address of this page in another language."""
    path = request.url.path if request.method == "GET" else "/"
    query = dict(request.query_params) if request.method == "GET" else {}
    query.pop("token", None)  # of a link that signs in
    return f"{path}?{urlencode(query | {'lang': language})}"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {
        "static": _static,
        "odds": odds,
        "heads": heads,
        "clock": clock,
        "moment": _moment,
        # Given by some pages only.
        **dict.fromkeys(
            (
                "name",
                "overlay",
                "sighting",
                "chart",
                "recent",
                "detail",
                "instance",
                "message",
                "told",
                "fast",
            ),
            None,
        ),
    }
    return environment


@cache
def _static(name: str) -> str:
    """Return the address of a file of the page, which changes when the file does."""
    digest = hashlib.blake2b((STATIC / name).read_bytes(), digest_size=6).hexdigest()
    return f"/static/{name}?v={digest}"


def _moment(at: str) -> Markup:
    """Write a time, UTC in ISO 8601, as people read it."""
    told = Markup('<time datetime="{}"><span>{}</span> <span>{} UTC</span></time>')
    return told.format(at, at[:10], at[11:16])
