"""Work in a process of its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def in_child(work: Callable[[], None]) -> None:
    """Run `work` in a child process of its own, whose limits may be changed."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            work()
            status = 0
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
