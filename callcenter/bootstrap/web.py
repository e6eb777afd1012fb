"""The pages and the API: every room's part of them, made into one application."""

from importlib import import_module

from fastapi import FastAPI
from redis.asyncio import Redis
from sqlalchemy.ext.asyncio import AsyncEngine

import callcenter.bootstrap.rooms  # noqa: F401 - registers them
from callcenter.platform.core.registry import registered_rooms
from callcenter.platform.core.settings import Settings
from callcenter.platform.web.application import make_application
from callcenter.platform.web.context import WebModule
from callcenter.telephony.acd.command_bus import CommandClient, read_order_keys
from callcenter.wallboard.live_feed import LiveFeed


def web_modules() -> tuple[WebModule, ...]:
    """Load the web modules of all rooms, in the order of the rooms."""
    names = (room.web for room in registered_rooms() if room.web is not None)
    return tuple(import_module(name).WEB_MODULE for name in names)


def application(settings: Settings, engine: AsyncEngine, redis: Redis) -> FastAPI:
    """The whole site."""
    app = make_application(settings, engine, redis, web_modules())
    app.state.live_feed = LiveFeed(engine, redis, settings)
    app.state.commands = CommandClient(redis, read_order_keys(settings))
    return app
