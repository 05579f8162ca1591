"""HTTP: aiohttp's server, JSON and the OpenAPI description made of the types that calls take and give.

- `app`: the server, and the order of things for each request     - `connection`: a connection's bounds
- `auth`: Host, Origin, token, `sessions`     - `parameters`: what was given with a call     - `problems`: RFC 9457
- `route`: what a call is     - `table`: which call a request is     - `daemon`: the objects that calls work on
- `routes`: the calls, a module a subject: types, handlers, routes; a new call is a new module there
- `dashboard`: the page, as files: no build step, nothing from elsewhere
- `openapi`: the description     - `dump_format`: stored records as JSON lines     - `mail_servers`: those of a domain, looked up
"""
