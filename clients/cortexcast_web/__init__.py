"""The dashboard and JavaScript client: files that a daemon serves."""

from pathlib import Path

SITE = Path(__file__).parent / "site"
"""``index.html`` and all that it loads; ``vendor/`` in it is there only where npm has brought NiiVue."""
