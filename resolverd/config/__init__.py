"""Configuration: config.toml in, frozen Settings out, every fault at once.

- `settings`: every key with its type and default · `forms`: those types · `values`, `places`: what text means
- `reader`: TOML to Settings · `sense`: what contradicts itself · `files`: which file is read
- `lists`: the lists it enables · `access`: the access maps it names · `localdomains`: the domains that are ours
- `render`: Settings back to TOML, secrets hidden
- `postfix`: the main.cf lines that fit · `later`: keys that are accepted and not acted on yet
- `secrets`: keys and tokens · `token`: the one in the state directory · `textfiles`: reading what the admin wrote elsewhere
- `public`: what may be told of it in a log that names nobody
"""

from resolverd.config.access_maps import access_maps
from resolverd.config.endpoints import Listen, MapFile, StoreUrl
from resolverd.config.files import find, load, parse
from resolverd.config.lists import enabled_lists, left_out, unusable_keys
from resolverd.config.not_built import not_built_keys
from resolverd.config.public import public_words
from resolverd.config.render import render
from resolverd.config.secrets import Secret
from resolverd.config.settings import Settings
from resolverd.config.token import StateToken, loose, state_token

__all__ = [
    "Listen",
    "MapFile",
    "Secret",
    "Settings",
    "StateToken",
    "StoreUrl",
    "access_maps",
    "enabled_lists",
    "find",
    "left_out",
    "load",
    "loose",
    "not_built_keys",
    "parse",
    "public_words",
    "render",
    "state_token",
    "unusable_keys",
]
