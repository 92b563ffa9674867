"""Importing a package is cheap, and gives what it says it gives."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys
from types import ModuleType

import pytest

# What takes seconds or hundreds of megabytes; each is imported when first used.
HEAVY = {"torch", "sentence_transformers", "transformers", "chromadb", "sqlalchemy", "cohere"}
HEAVY |= {"onnxruntime", "scipy", "sklearn", "pandas", "matplotlib", "fastapi"}
FRAMEWORKS = {"langchain", "langchain_core", "langgraph", "llama_index"}
PACKAGES = {
    "semcache_core": HEAVY | FRAMEWORKS | {"typer", "rich"},
    "semcache_core.cli": HEAVY | FRAMEWORKS,
    # LlamaIndex itself imports SQLAlchemy, so its adapter is not asked to do better.
    "langchain_semcache": HEAVY | {"llama_index"},
    "llamaindex_semcache": (HEAVY - {"sqlalchemy"}) | {"langchain", "langchain_core"},
}
PUBLIC = ["semcache_core", "langchain_semcache", "llamaindex_semcache"]


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_importing_is_cheap(package: str) -> None:
    """A fresh interpreter imports the package and none of the heavy ones."""
    code = f"import sys, {package}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert not set(done.stdout.split()) & PACKAGES[package]


@pytest.mark.parametrize("package", PUBLIC)
def test_all_names_exist_and_are_sorted(package: str) -> None:
    """`__all__` is the public API: complete, sorted, without strays."""
    module = importlib.import_module(package)
    assert list(module.__all__) == sorted(module.__all__)
    assert all(hasattr(module, name) for name in module.__all__)


@pytest.mark.parametrize("package", PUBLIC)
def test_an_unknown_name_is_an_attribute_error(package: str) -> None:
    """A mistyped name is reported as Python does."""
    with pytest.raises(AttributeError, match="no_such_name"):
        importlib.import_module(package).no_such_name  # noqa: B018  # looking is the test


@pytest.mark.parametrize("package", PUBLIC)
def test_no_module_bears_a_public_name(package: str) -> None:
    """Importing a module puts its name into its package, where the public name is to be found."""
    module = importlib.import_module(package)
    public = {name for name in module.__all__ if not isinstance(getattr(module, name), ModuleType)}
    assert not public & {found.name for found in pkgutil.iter_modules(module.__path__)}
