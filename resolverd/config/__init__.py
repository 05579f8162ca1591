"""Configuration: config.toml in, frozen Settings out, every fault at once.

- `files`: which file is read · `reader`: TOML to Settings · `render`: Settings back to TOML, secrets hidden
- `settings`: every key with its type and default · `types`: those types · `values`, `endpoints`: what text means
- `validate`: what contradicts itself, and keys that nothing acts on yet · `review`: what was hardly meant, or does harm
- `public_resolvers`: those that lists refuse · `secrets`: list keys and tokens
- `lists`: the lists it enables · `map_files`: the access maps and local domains in files that it names
- `template`: the commented file to begin with · `reference`: what it says of every key, for docs/configuration.md and a man page
- `postfix`: the main.cf lines that fit · `public`: words of it that may stand in a log that names nobody
"""

from resolverd.config.endpoints import Listen, StoreUrl
from resolverd.config.files import PRODUCTION, audience, find, load, parse
from resolverd.config.lists import enabled_lists, left_out, unusable_keys
from resolverd.config.map_files import access_maps
from resolverd.config.public import public_words
from resolverd.config.render import render
from resolverd.config.secrets import Secret, StateToken, loose, state_token
from resolverd.config.settings import DnsTls, Settings

__all__ = [
    "PRODUCTION",
    "DnsTls",
    "Listen",
    "Secret",
    "Settings",
    "StateToken",
    "StoreUrl",
    "access_maps",
    "audience",
    "enabled_lists",
    "find",
    "left_out",
    "load",
    "loose",
    "parse",
    "public_words",
    "render",
    "state_token",
    "unusable_keys",
]
