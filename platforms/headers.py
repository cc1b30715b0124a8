"""What every answer of an edge carries, whichever proxy gives it."""

from __future__ import annotations

HSTS_SECONDS = 31_536_000
"""One year, as the HSTS preload list asks at least."""

SECURITY = (
    ("Strict-Transport-Security", f"max-age={HSTS_SECONDS}"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "SAMEORIGIN"),
    ("Referrer-Policy", "strict-origin-when-cross-origin"),
    ("Permissions-Policy", "camera=(), geolocation=(), microphone=()"),
)
"""Headers that every answer carries, once: a service's own under these names are not passed on."""
