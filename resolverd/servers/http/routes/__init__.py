"""The calls, a module a subject: its types, its handlers, and their routes in ``ROUTES``. A new one is found by itself."""

import pkgutil
from importlib import import_module

from resolverd.servers.http.route import Route


def find() -> tuple[Route, ...]:
    """The routes of all modules here."""
    modules = (import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__))
    return tuple(route for module in modules for route in module.ROUTES)
