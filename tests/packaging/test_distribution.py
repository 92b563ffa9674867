"""What `pip wheel .` and an sdist hold."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {
    "semcache_core": ROOT / "core" / "semcache_core",
    "langchain_semcache": ROOT / "langchain_semcache",
    "llamaindex_semcache": ROOT / "llamaindex_semcache",
}
EXTRAS = {"langchain", "agents", "llamaindex", "local", "offline", "cohere", "images", "server"}
EXTRAS |= {"postgresql", "mysql", "duckdb", "redis", "all", "docs", "dev"}


def run(*command: str) -> None:
    """Run with the build tools installed here: nothing is fetched."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """What `pip wheel .` makes."""
    folder = tmp_path_factory.mktemp("wheel")
    run("pip", "wheel", ".", "--no-deps", "--no-index", "--no-build-isolation", "-w", str(folder))
    (made,) = folder.iterdir()
    with zipfile.ZipFile(made) as opened:
        yield opened


@pytest.fixture(scope="module")
def metadata(wheel: zipfile.ZipFile) -> Message:
    """The wheel's METADATA."""
    (name,) = [one for one in wheel.namelist() if one.endswith(".dist-info/METADATA")]
    return Parser().parsestr(wheel.read(name).decode())


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names in an sdist, without its folder."""
    folder = tmp_path_factory.mktemp("sdist")
    run("build", "--sdist", "--no-isolation", "--outdir", str(folder), str(ROOT))
    (made,) = folder.iterdir()
    with tarfile.open(made) as opened:
        return [name.partition("/")[2] for name in opened.getnames()]


def test_the_wheel_holds_exactly_the_three_packages(wheel: zipfile.ZipFile) -> None:
    """No tests, benchmarks or a published `core` beside them."""
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == set(PACKAGES)


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_every_file_of_a_package_is_in_the_wheel(wheel: zipfile.ZipFile, package: str) -> None:
    """Word lists, coefficients, the demo's script and py.typed as well as the code."""
    folder = PACKAGES[package]
    files = {
        f"{package}/{path.relative_to(folder).as_posix()}"
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    packed = {name for name in wheel.namelist() if name.startswith(f"{package}/")}
    assert f"{package}/py.typed" in packed
    assert packed == files


def test_data_files_are_among_them(wheel: zipfile.ZipFile) -> None:
    """What the code reads at run time, by name: an empty folder would pass the test above."""
    packed = set(wheel.namelist())
    assert "langchain_semcache/demo.yaml" in packed
    assert "semcache_core/samples.yaml" in packed
    assert "semcache_core/evaluators/guards/data/negations.txt" in packed


def test_the_metadata_says_what_a_user_must_know(metadata: Message) -> None:
    """Name, licence, Python versions, extras."""
    assert metadata["Name"] == "llm-semcache"
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["License-File"] == "LICENSE"
    assert set(metadata.get_all("Provides-Extra", [])) == EXTRAS
    assert "semcache" in str(metadata.get_payload()).lower()


def test_plain_requirements_hold_no_framework(metadata: Message) -> None:
    """Frameworks, torch and test tools come with extras only."""
    plain = [one for one in metadata.get_all("Requires-Dist", []) if "extra ==" not in one]
    names = {
        one.split(";")[0].strip(" ").split(">")[0].split("=")[0].split("<")[0] for one in plain
    }
    assert not names & {"langchain-core", "llama-index-core", "torch", "sentence-transformers"}
    assert {"chromadb", "numpy", "sqlalchemy"} <= names


def test_the_command_and_the_plugins_are_announced(wheel: zipfile.ZipFile) -> None:
    """Entry points are found by name at run time."""
    (name,) = [one for one in wheel.namelist() if one.endswith(".dist-info/entry_points.txt")]
    text = wheel.read(name).decode()
    assert "semcache = semcache_core.cli:main" in text
    assert "[semcache.codecs]" in text
    assert "[semcache.demos]" in text


def test_the_sdist_holds_the_sources_and_nothing_of_a_machine(sdist: list[str]) -> None:
    """It can be built and tested again; no environments, caches or built files."""
    for needed in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "tests/conftest.py"):
        assert needed in sdist
    assert "core/semcache_core/py.typed" in sdist
    for name in sdist:
        assert not name.startswith((".venv", ".git/", "dist", "build", "semcache-demo"))
        assert "__pycache__" not in name
