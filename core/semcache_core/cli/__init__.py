"""`semcache`: a demonstration, and a look inside caches.

Exit codes: 0 done; 1 it could not be done; 2 wrong usage, which a path or an id that is not there
is too.
"""

from __future__ import annotations

import sys


def main() -> None:
    """The console script. A user's mistake ends with a sentence, not with a traceback."""
    from rich.console import Console

    from semcache_core.cli._app import app
    from semcache_core.errors import ConfigError, SemcacheError

    try:
        app()
    except SemcacheError as error:
        Console(stderr=True, soft_wrap=True).print(f"semcache: {error}", markup=False, style="red")
        sys.exit(2 if isinstance(error, ConfigError) else 1)
