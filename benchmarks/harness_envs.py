"""Environments for peers that cannot share ours, made once by pip under a folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
OWN = "own"
"""The environment that runs the harness."""
PACKAGES = {
    "gptcache": ["gptcache==0.1.44", "faiss-cpu==1.15.1", "sqlalchemy"],
    "langchain": ["langchain-core", "langchain-community==0.4.2"],
    "chroma": ["chromadb"],
    "sulci": ["sulci==1.0.1", "numpy"],
    "hnswlib": ["hnswlib==0.8.0", "numpy"],
}
"""Versions that are not named are those of constraints.txt, the same as ours."""


def python(home: Path, name: str) -> Path | None:
    """The interpreter of an environment, made if missing; None, and said why, if it cannot be."""
    if name == OWN:
        return Path(sys.executable)
    folder = home / name
    interpreter = folder / "bin" / "python"
    if (folder / "made").exists():
        return interpreter
    print(f"Installing {' '.join(PACKAGES[name])} into {folder}", file=sys.stderr)
    try:
        _run(sys.executable, "-m", "venv", "--clear", str(folder))
        constraints = ["--constraint", str(ROOT / "constraints.txt")]
        pip = ["-m", "pip", "--disable-pip-version-check", "install", "--quiet", *constraints]
        _run(str(interpreter), *pip, *PACKAGES[name])
    except subprocess.CalledProcessError as error:
        print(f"{name} is left out, as it cannot be installed: {error}", file=sys.stderr)
        return None
    (folder / "made").touch()
    return interpreter


def _run(*command: str) -> None:
    subprocess.run(command, check=True, stdout=sys.stderr)
