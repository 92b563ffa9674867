"""What a model's folder tells without loading it: identity, dimension, window."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_models import imported_by, packaged_minilm, tiny_model, write_modules, write_pooling
from tokenizers import Tokenizer, models

from semcache_core.embedders import _digest as digest
from semcache_core.embedders._home import home, write_atomically
from semcache_core.embedders._model import ModelFolder
from semcache_core.embedders._window import Window
from semcache_core.errors import ConfigError


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model's folder."""
    return tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return shutil.copytree(tiny, tmp_path / "copy")


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of each test's own."""
    monkeypatch.setenv("SEMCACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def edit(file: Path, **values: Any) -> None:
    """Set values in a JSON file."""
    told = json.loads(file.read_text()) if file.is_file() else {}
    file.write_text(json.dumps(told | values))


def test_the_real_model_is_read() -> None:
    """MiniLM's dimension, window and prompt."""
    model = ModelFolder(packaged_minilm())
    assert (model.dimension, model.window_length, model.prompt) == (384, 256, "")


def test_identity_needs_no_framework() -> None:
    """Identity, dimension and window are told without torch, transformers or onnxruntime."""
    code = """
        from semcache_core.embedders import OnnxEmbedder
        embedder = OnnxEmbedder()
        embedder.identity, embedder.dimension, embedder.fits("hello")
    """
    light = {"filelock", "huggingface_hub", "platformdirs", "tokenizers"}
    assert set(imported_by(code)) <= light


def test_saving_a_model_again_keeps_its_identity(tmp_path: Path) -> None:
    """Loaded and saved by today's versions, the files differ and the identity does not."""
    from semcache_core.embedders.sentence_transformers import load

    load(packaged_minilm(), "cpu").save(str(tmp_path / "saved"))
    original, saved = packaged_minilm(), tmp_path / "saved"
    for name in ("model.safetensors", "tokenizer.json", "config.json", "modules.json"):
        assert (original / name).read_bytes() != (saved / name).read_bytes()
    assert ModelFolder(saved).identity == ModelFolder(original).identity
    assert ModelFolder(saved).window_length == 256


@pytest.mark.parametrize("unneeded", ["README.md", "train_script.py", "pytorch_model.bin"])
def test_files_that_are_not_needed_do_not_count(tiny: Path, copy: Path, unneeded: str) -> None:
    """Another folder, name and further files leave the identity alone."""
    (copy / unneeded).write_text("anything")
    edit(copy / "config.json", transformers_version="0.1", _name_or_path="elsewhere")
    write_modules(copy, ["Transformer", "Pooling", "Normalize"])
    assert ModelFolder(copy).identity == ModelFolder(tiny).identity


CHANGES: dict[str, Callable[[Path], Any]] = {
    "pooling": lambda folder: write_pooling(folder, "cls"),
    "window": lambda folder: edit(folder / "sentence_bert_config.json", max_seq_length=16),
    "heads": lambda folder: edit(folder / "config.json", num_attention_heads=4),
    "tokenizer": lambda folder: edit(folder / "tokenizer.json", normalizer=None),
    "prompt": lambda folder: edit(
        folder / "config_sentence_transformers.json",
        prompts={"query": "query: "},
        default_prompt_name="query",
    ),
    "weights": lambda folder: tiny_model(folder, seed=1),
    "a further module": lambda folder: write_modules(folder, ["Transformer", "Pooling", "Dense"]),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_vectors_changes_the_identity(tiny: Path, copy: Path, change: str) -> None:
    """Weights, pooling, window, tokenizer and so on are part of the identity."""
    CHANGES[change](copy)
    assert ModelFolder(copy).identity != ModelFolder(tiny).identity


def test_older_and_newer_words_for_pooling_are_one(copy: Path, tiny: Path) -> None:
    """Versions of sentence-transformers spell the pooling differently."""
    for pooling in ({"pooling_mode": "mean"}, {"pooling_mode": ["mean"]}, {}):
        (copy / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
        assert ModelFolder(copy).identity == ModelFolder(tiny).identity


def test_a_bare_transformer_is_pooled_by_its_mean(copy: Path, tiny: Path) -> None:
    """Without modules.json, sentence-transformers takes the mean, and so does the identity."""
    (copy / "modules.json").unlink()
    shutil.rmtree(copy / "1_Pooling")
    assert ModelFolder(copy).identity == ModelFolder(tiny).identity
    assert ModelFolder(copy).dimension == 32


def test_torchs_own_format_counts_where_there_is_no_other(copy: Path) -> None:
    """Without safetensors, the bytes of torch's file are the weights; without any, nothing is."""
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")
    one = ModelFolder(copy).identity
    (copy / "pytorch_model.bin").write_bytes(b"other weights")
    two = ModelFolder(copy).identity
    (copy / "pytorch_model.bin").unlink()
    assert len({one, two, ModelFolder(copy).identity}) == 3


def test_without_a_tokenizer_file_the_vocabulary_counts(copy: Path) -> None:
    """Models of old have a vocabulary only; then the window is unknown until they are loaded."""
    (copy / "tokenizer.json").unlink()
    before = ModelFolder(copy).identity
    (copy / "vocab.txt").write_text("other words")
    assert ModelFolder(copy).identity != before
    assert ModelFolder(copy).window is None


@pytest.mark.parametrize(
    ("modules", "pooling", "dimension"),
    [
        (["Transformer", "Pooling", "Normalize"], {"word_embedding_dimension": 32}, 32),
        (["Transformer", "Pooling"], {"embedding_dimension": 32}, 32),
        (["Transformer", "Pooling"], {}, 32),
        (["Transformer", "Pooling"], {"pooling_mode": ["mean", "max"]}, None),
        (["Transformer", "Pooling", "Dense"], {}, None),
    ],
)
def test_the_dimension_is_told_only_where_it_is_sure(
    copy: Path, modules: list[str], pooling: dict[str, Any], dimension: int | None
) -> None:
    """Concatenated poolings and further layers change it; then it has to be found out."""
    write_modules(copy, modules)
    (copy / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    assert ModelFolder(copy).dimension == dimension


def test_the_window_is_the_least_limit(copy: Path) -> None:
    """Without a setting of its own, a model sees what its tokenizer and positions allow."""
    (copy / "sentence_bert_config.json").unlink()
    edit(copy / "tokenizer_config.json", model_max_length=128)
    assert ModelFolder(copy).window_length == 128
    edit(copy / "tokenizer_config.json", model_max_length=10**30)
    assert ModelFolder(copy).window_length == 512
    edit(copy / "config.json", max_position_embeddings=None)
    assert ModelFolder(copy).window_length is None
    assert ModelFolder(copy).window is None


def _cut() -> bytes:
    """What an interrupted download leaves."""
    tensor = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}
    header = json.dumps({"__metadata__": {}, "weight": tensor}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0" * 8


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("modules.json", b"{", "not valid JSON"),
        ("modules.json", b"{}", "holds a dict, not a list"),
        ("config.json", b"[]", "holds a list, not a dict"),
        ("model.safetensors", b"", "not a safetensors file"),
        ("model.safetensors", b"short", "not a safetensors file"),
        ("model.safetensors", struct.pack("<Q", 4) + b"[1] ", "not a safetensors file"),
        ("model.safetensors", struct.pack("<Q", 10**15) + b"{}", "not a safetensors file"),
        ("model.safetensors", _cut(), "ends too early"),
    ],
)
def test_damaged_files_are_named(copy: Path, name: str, content: bytes, said: str) -> None:
    """The error says which file is damaged."""
    (copy / name).write_bytes(content)
    with pytest.raises(ConfigError, match=said) as raised:
        _ = ModelFolder(copy).identity
    assert name in str(raised.value)


def test_unknown_pieces_are_found_in_every_kind_of_vocabulary() -> None:
    """WordPiece names the piece, Unigram its place; where there is none, everything is known."""
    unigram = Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0)], unk_id=0))
    bytewise = Tokenizer(models.BPE({"a": 0}, []))
    assert Window.parse(unigram.to_str(), 8).fits("aa")
    assert not Window.parse(unigram.to_str(), 8).fits("ab")
    assert Window.parse(bytewise.to_str(), 8).fits("a")


# -- the digests of big files --------------------------------------------------------------------


def test_digests_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is hashed once, until its size or its time changes."""
    file = tmp_path / "weights.bin"
    file.write_bytes(b"abc")
    os.utime(file, (1, 1))
    hashed: list[Path] = []
    real = digest._hash_file
    monkeypatch.setattr(digest, "_hash_file", lambda path: hashed.append(path) or real(path))
    first = digest.digest_file(file)
    assert digest.digest_file(file) == first
    assert len(hashed) == 1
    os.utime(file, (2, 2))
    assert digest.digest_file(file) == first
    assert len(hashed) == 2
    file.write_bytes(b"abcd")
    os.utime(file, (2, 2))
    assert digest.digest_file(file) != first


def test_a_file_that_has_just_changed_is_not_remembered(tmp_path: Path) -> None:
    """Within a tick of the clock it could change again without a trace."""
    file = tmp_path / "weights.bin"
    file.write_bytes(b"abc")
    one = digest.digest_file(file)
    stat = file.stat()
    file.write_bytes(b"abd")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert digest.digest_file(file) != one


def test_links_lead_to_what_they_point_at(tmp_path: Path) -> None:
    """The hub's cache is made of links; the file behind one is hashed once."""
    file = tmp_path / "blob"
    file.write_bytes(b"abc")
    os.utime(file, (1, 1))
    (tmp_path / "link").symlink_to(file)
    assert digest.digest_file(tmp_path / "link") == digest.digest_file(file)
    assert len(list((home() / "digests").iterdir())) == 1


def test_without_a_cache_folder_files_are_hashed_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home that cannot be written to costs time and nothing else."""
    file = tmp_path / "weights.bin"
    file.write_bytes(b"abc")
    os.utime(file, (1, 1))
    (tmp_path / "occupied").touch()
    monkeypatch.setenv("SEMCACHE_HOME", str(tmp_path / "occupied" / "home"))
    assert digest.digest_file(file) == digest.digest_file(file)


def test_home_is_the_platforms_unless_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """SEMCACHE_HOME moves it; a tilde is the user's folder."""
    monkeypatch.setenv("SEMCACHE_HOME", "~/somewhere")
    assert home() == Path("~/somewhere").expanduser()
    monkeypatch.delenv("SEMCACHE_HOME")
    assert home().name == "semcache"


def test_a_failed_write_leaves_nothing(tmp_path: Path) -> None:
    """Neither the file nor a part of it is there after an error."""
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    with pytest.raises(OSError):
        write_atomically(tmp_path / "folder", b"data")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == []
