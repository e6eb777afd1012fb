"""Routers, templates and scripts of the room of requests to state bodies."""

from pathlib import Path

from callcenter.platform.web.context import WebModule
from callcenter.requests import pages
from callcenter.requests.guides import GUIDES

WEB_MODULE = WebModule(
    name="requests",
    routers=(pages.router,),
    templates=Path(__file__).parent / "templates",
    guides=GUIDES,
    static=Path(__file__).parent / "static",
)
