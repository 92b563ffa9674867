"""`semcache`: look inside caches, fill them, move them, measure them, serve from them.

Exit codes: 0 done; 1 done, and something was found that is not as it should be (`doctor`,
`evaluate` below what was asked for, `calibrate` without a certificate, items refused); 2 wrong
usage, which a path, an id or a file that is not right is too; 3 it could not be done (damaged,
locked, out of reach, an extra that is not installed); 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import NoReturn


def main() -> None:
    """The console script. A user's mistake ends with a sentence, not with a traceback."""
    try:
        _run()
    except KeyboardInterrupt:  # loading takes half a second, and Ctrl-C may come in it too
        _end("interrupted", 130)


def _run() -> None:
    from semcache_core.cli._app import app
    from semcache_core.errors import ConfigError, SemcacheError

    try:
        app()
    except ConfigError as error:
        _end(error, 2)
    except SemcacheError as error:
        _end(error, 3)
    except BrokenPipeError:
        # Whoever read has enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        _end(error, 3)


def _end(said: object, code: int) -> NoReturn:
    from rich.console import Console

    Console(stderr=True, soft_wrap=True).print(f"semcache: {said}", markup=False, style="red")
    sys.exit(code)
