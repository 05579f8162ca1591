"""HTTP: `app` (the server and its bounds), `auth` (Host, Origin, token), `routes`, `problems` (RFC 9457), `metrics`."""
