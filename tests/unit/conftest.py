"""Async tests run on the daemon's own event loop, whose transports differ from asyncio's in small ways."""

import uvloop


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop}
