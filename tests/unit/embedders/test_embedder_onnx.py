"""The default embedder: exported once, true to torch, and on torch where that cannot be done."""

from __future__ import annotations

import gc
import json
import logging
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from weakref import WeakValueDictionary

import numpy as np
import pytest
from tiny_models import imported_by, packaged_minilm, tiny_model, write_modules

from semcache_core.embedders import OnnxEmbedder, SentenceTransformerEmbedder
from semcache_core.embedders import _export as export
from semcache_core.embedders import _exported as exported
from semcache_core.embedders import _graph as graph
from semcache_core.embedders import sentence_transformers as on_torch
from semcache_core.embedders._graphs import GRAPHS
from semcache_core.embedders._model import ModelFolder
from semcache_core.errors import ConfigError, EmbedderError, MissingDependency

TEXTS = [
    "How do I reset my password?",
    "",
    "What is the capital of France?",
    "Wie wird das Wetter in München? 😀",
    "  spaces   around  ",
    "a",
    "word " * 25,
    "many more words than fit " * 50,
]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model's folder."""
    return tiny_model(tmp_path_factory.mktemp("tiny"))


FIRST_USE = """
    import json, logging, sys
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    from semcache_core.embedders import OnnxEmbedder
    rows = OnnxEmbedder(sys.argv[1]).embed(["a"])
    print(json.dumps([rows.tolist(), [[r.levelname, r.getMessage()] for r in records]]))
"""


@pytest.fixture(scope="module")
def first_uses(
    tiny: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[tuple[str, str]]]:
    """Output and errors of two processes that use the small model for the first time, at once.

    The cache folder they share is this module's from then on.
    """
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SEMCACHE_HOME", str(folder))
        command = [sys.executable, "-c", textwrap.dedent(FIRST_USE), str(tiny)]
        pipe = subprocess.PIPE
        processes = [subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) for _ in "ab"]
        yield [process.communicate(timeout=200) for process in processes]


@pytest.fixture(scope="module")
def home(first_uses: list[tuple[str, str]]) -> Path:
    """The cache folder of this module."""
    return Path(os.environ["SEMCACHE_HOME"])


@pytest.fixture(scope="module")
def made(home: Path, tiny: Path) -> OnnxEmbedder:
    """The small model, as users have it exported: by a process of its own."""
    return OnnxEmbedder(tiny)


@pytest.fixture(autouse=True)
def nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test opens its graphs from their files."""
    monkeypatch.setattr(GRAPHS, "_open", WeakValueDictionary())


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Exports run in this process, which saves the import of torch; returns their arguments."""
    runs: list[list[str]] = []

    def run(folder: Path, work: Path, dtype: str) -> Any:
        runs.append([str(folder), str(work), dtype])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = export.main(runs[-1])
        return SimpleNamespace(returncode=code, stderr="noise\nthe reason\n" if code else "")

    monkeypatch.setattr(exported, "_run", run)
    return runs


def agreement(a: Any, b: Any) -> float:
    """The least cosine of two embedders' vectors over all kinds of texts."""
    return float((a.embed(TEXTS) * b.embed(TEXTS)).sum(axis=1).min())


def test_minilm_equals_torch() -> None:
    """The real model's vectors are torch's, and so is the identity."""
    ours, torchs = OnnxEmbedder(), SentenceTransformerEmbedder(device="cpu")
    assert agreement(ours, torchs) > 0.9999
    assert ours.identity == torchs.identity
    for mine, theirs in zip(ours.embed_tokens(TEXTS), torchs.embed_tokens(TEXTS), strict=True):
        assert mine.shape == theirs.shape
        assert len(mine) == 0 or (mine * theirs).sum(axis=1).min() > 0.9999
    reference = torchs._loaded().encode(TEXTS, show_progress_bar=False)
    assert (ours.embed(TEXTS) * reference).sum(axis=1).min() > 0.9999


def test_int8_is_near_and_another_identity() -> None:
    """Quantised vectors differ a little, so they are never mixed with the others."""
    small, whole = OnnxEmbedder(dtype="int8"), OnnxEmbedder()
    assert 0.95 < agreement(small, whole) < 0.9999
    assert small.identity == f"{whole.identity}:int8"


def test_processes_that_start_together_export_once(
    first_uses: list[tuple[str, str]], home: Path
) -> None:
    """One exports, and logs two lines, the first as a warning: it is seen by whoever waits.

    The other waits and uses the same.
    """
    assert [errors for _, errors in first_uses] == ["", ""]
    (rows, records), (same, more) = (json.loads(output) for output, _ in first_uses)
    assert rows == same
    assert [level for level, _ in records + more] == ["WARNING", "INFO"]
    assert "once on this machine" in (records + more)[0][1]
    assert not list((home / "onnx").glob("making-*"))


def test_a_process_of_its_own_exports(made: OnnxEmbedder, tiny: Path) -> None:
    """The small model, exported by the command that users run, equals torch."""
    assert agreement(made, SentenceTransformerEmbedder(tiny, device="cpu")) > 0.9999
    assert isinstance(made._engine, graph.Graph)
    assert made.dimension == 32


def test_neither_torch_nor_transformers_is_imported(made: OnnxEmbedder, tiny: Path) -> None:
    """An exported model needs onnxruntime and tokenizers alone, and writes nothing anywhere."""
    code = """
        from semcache_core.embedders import OnnxEmbedder
        embedder = OnnxEmbedder(sys.argv[1])
        embedder.embed(["a", "b"]), embedder.embed_tokens(["a"])
    """
    assert imported_by(code, str(tiny)) == ["onnxruntime", "tokenizers"]


@pytest.mark.parametrize(
    ("kind", "pooling"), [("bert", "cls"), ("distilbert", "mean"), ("mpnet", "mean")]
)
def test_other_models_are_exported_too(
    kind: str, pooling: str, tmp_path: Path, home: Path, in_process: list[list[str]]
) -> None:
    """Other architectures and poolings, with a normalisation or without, equal torch."""
    folder = tiny_model(tmp_path / "model", kind=kind, pooling=pooling)
    if kind == "mpnet":
        write_modules(folder, ["Transformer", "Pooling", "Normalize"])
    embedder = OnnxEmbedder(folder)
    assert agreement(embedder, SentenceTransformerEmbedder(folder, device="cpu")) > 0.9999
    assert isinstance(embedder._engine, graph.Graph)


def test_a_models_prompt_is_kept(
    tiny: Path, tmp_path: Path, home: Path, in_process: list[list[str]]
) -> None:
    """A default prompt goes in front of every text, as it does on torch."""
    folder = shutil.copytree(tiny, tmp_path / "model")
    config = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config))
    embedder = OnnxEmbedder(folder)
    assert agreement(embedder, SentenceTransformerEmbedder(folder, device="cpu")) > 0.9999
    assert isinstance(embedder._engine, graph.Graph)
    assert embedder.embed(["a"])[0] @ OnnxEmbedder(tiny).embed(["a"])[0] < 0.999
    words = "word " * 29  # 31 pieces with the special ones; the prompt has two of its own
    assert OnnxEmbedder(tiny).fits(words)
    assert not embedder.fits(words)


def test_int8_is_exported(tiny: Path, home: Path, in_process: list[list[str]]) -> None:
    """Quantisation works on the fused graph."""
    assert agreement(OnnxEmbedder(tiny, dtype="int8"), OnnxEmbedder(tiny)) > 0.95


def static_model(folder: Path) -> Path:
    """A model without a transformer, which there is nothing to trace in."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(packaged_minilm() / "tokenizer.json"))
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=16)]).save(str(folder))
    return folder


def test_what_cannot_be_exported_runs_on_torch(
    tmp_path: Path, home: Path, in_process: list[list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    """One warning says why; the vectors are right; the next process does not try again."""
    folder = static_model(tmp_path / "static")
    embedder = OnnxEmbedder(folder)
    with caplog.at_level(logging.WARNING, "semcache"):
        rows = embedder.embed(["How do I reset my password?", "Bake bread"])
        embedder.embed(["once more"])
    assert rows.shape == (2, embedder.dimension) == (2, 16)
    told = [one.message for one in caplog.records if "made ready" not in one.message]
    assert len(told) == 1
    assert "runs on torch" in caplog.text
    assert "the reason" in caplog.text
    assert embedder.fits("short")
    assert not embedder.fits("an emoji 😀")
    again = OnnxEmbedder(folder)
    again.embed(["a"])
    assert len(in_process) == 1
    with pytest.raises(EmbedderError, match=r"as int8: the reason"):
        OnnxEmbedder(folder, dtype="int8").embed(["a"])


def test_on_torch_token_vectors_are_there_too(
    tiny: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fallback shows token vectors as well."""
    monkeypatch.setattr(exported, "_EXPORTERS", ("a package that nobody has",))
    monkeypatch.setenv("SEMCACHE_HOME", str(home / "elsewhere"))
    embedder = OnnxEmbedder(tiny)
    assert [rows.shape for rows in embedder.embed_tokens(["a b c", ""])] == [(3, 32), (0, 32)]


def test_missing_exporters_are_named(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Without a package that exporting needs, torch it is, and the warning names it."""
    monkeypatch.setenv("SEMCACHE_HOME", str(tmp_path))
    monkeypatch.setattr(exported, "_EXPORTERS", ("onnx", "nobodys_package"))
    assert OnnxEmbedder(tiny).embed(["a"]).shape == (1, 32)
    assert "needs the packages nobodys_package" in caplog.text


def test_without_sentence_transformers_the_extra_is_named(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing to export with and nothing to fall back on."""
    monkeypatch.setenv("SEMCACHE_HOME", str(tmp_path))
    monkeypatch.setattr(exported.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependency, match=r"llm-semcache\[local\]"):
        OnnxEmbedder(tiny)
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingDependency, match=r"llm-semcache\[local\]"):
        SentenceTransformerEmbedder(tiny).embed(["a"])


def test_an_exported_model_needs_no_sentence_transformers(
    made: OnnxEmbedder, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once exported, a model runs where the exporters are not installed."""
    monkeypatch.setattr(exported.importlib.util, "find_spec", lambda name: None)
    assert OnnxEmbedder(tiny).embed(["a"]).shape == (1, 32)


def test_a_folder_that_cannot_be_written_means_torch(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The warning names the variable that moves the folder."""
    (tmp_path / "occupied").touch()
    monkeypatch.setenv("SEMCACHE_HOME", str(tmp_path / "occupied"))
    assert OnnxEmbedder(tiny).embed(["a"]).shape == (1, 32)
    assert "SEMCACHE_HOME" in caplog.text


@pytest.mark.parametrize("file", ["model.onnx", "tokenizer.json", "about.json"])
def test_damaged_exports_are_made_anew(
    file: str, tiny: Path, home: Path, made: OnnxEmbedder, in_process: list[list[str]]
) -> None:
    """A file that was cut off or spoilt in the cache folder is replaced."""
    (target,) = (path.parent for path in _exports(home, tiny))
    (target / file).write_bytes((target / file).read_bytes()[:100])
    assert agreement(OnnxEmbedder(tiny), made) > 0.9999
    assert len(in_process) == 1


def test_exports_that_compute_something_else_are_made_anew(
    tiny: Path, home: Path, made: OnnxEmbedder, in_process: list[list[str]]
) -> None:
    """Opening compares one vector with torch's, so a wrong graph is not used."""
    ((about),) = _exports(home, tiny)
    told = json.loads(about.read_text())
    about.write_text(json.dumps(told | {"probe": [-x for x in told["probe"]]}))
    assert agreement(OnnxEmbedder(tiny), made) > 0.9999
    assert len(in_process) == 1


def test_what_cannot_be_repaired_means_torch(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the new export is no better, the embedder falls back instead of trying for ever."""
    monkeypatch.setenv("SEMCACHE_HOME", str(tmp_path))
    monkeypatch.setattr(exported, "_opened", lambda target, threads: None)
    monkeypatch.setattr(exported, "_make", lambda model, target, dtype: None)
    with pytest.raises(exported.CannotExport, match="cannot be loaded"):
        exported.open_graph(ModelFolder(tiny), "float32")


def _exports(home: Path, tiny: Path) -> list[Path]:
    target = exported.graph_folder(ModelFolder(tiny), "float32")
    return [target / "about.json"]


# -- exporting -------------------------------------------------------------------------------------


def test_a_graph_that_differs_is_refused(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The comparison with torch has the last word, and says the cosine."""
    monkeypatch.setitem(export.FLOORS, "float32", 1.5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert export.main([str(tiny), str(tmp_path), "float32"]) == export.REFUSED
    assert "cosine 1.0000 where 1.5 is needed" in capsys.readouterr().err


def test_without_fusion_the_plain_graph_is_kept(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An optimizer that fails or misreads a model costs speed only."""

    def spoil(file: Path, model: Any) -> None:
        file.write_bytes(b"spoilt")
        raise RuntimeError("no BERT")

    monkeypatch.setattr(export, "_fuse_attention", spoil)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert export.main([str(tiny), str(tmp_path), "float32"]) == 0
    assert graph.Graph(tmp_path).sound()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "about.json",
        "model.onnx",
        "tokenizer.json",
    ]


def test_attention_is_fused(made: OnnxEmbedder, tiny: Path, home: Path) -> None:
    """A BERT's attention becomes one operation a layer, which is where the speed comes from."""
    import onnx

    model = onnx.load(exported.graph_folder(ModelFolder(tiny), "float32") / "model.onnx")
    assert [node.op_type for node in model.graph.node].count("Attention") == 2


def test_an_exporter_that_dies_is_no_verdict(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Killed for memory or timed out, it is tried again next time; meanwhile torch it is."""
    monkeypatch.setenv("SEMCACHE_HOME", str(tmp_path))
    died = SimpleNamespace(returncode=-9, stderr="")
    monkeypatch.setattr(exported, "_run", lambda *arguments: died)
    assert OnnxEmbedder(tiny).embed(["a"]).shape == (1, 32)
    assert "exit status -9" in caplog.text
    assert not list((tmp_path / "onnx").glob("*.refused"))
    assert not list((tmp_path / "onnx").glob("making-*"))


@pytest.mark.parametrize("executable", ["", None, "/opt/app/app", "/usr/bin/uwsgi"])
def test_what_is_no_python_is_not_started(
    executable: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen application that started itself again would do so for ever."""
    monkeypatch.setattr(sys, "executable", executable)
    with pytest.raises(exported.CannotExport, match="a Python to run"):
        exported._check_packages()


def test_what_killed_exporters_left_is_swept(tmp_path: Path) -> None:
    """Only what is too old to be somebody's work."""
    old, new = tmp_path / "making-old", tmp_path / "making-new"
    for folder in (old, new):
        folder.mkdir()
    os.utime(old, (1, 1))
    exported._sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["making-new"]


def test_an_exporter_that_hangs_is_ended(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while it is given up."""
    monkeypatch.setattr(exported, "_PATIENCE", 0.01)
    with pytest.raises(exported.CannotExport, match="did not end"):
        exported._run(tiny, tmp_path, "float32")


def test_another_process_that_hangs_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock is waited for as long as an export may take."""
    monkeypatch.setattr(exported, "_PATIENCE", 0.01)
    target = tmp_path / "target"
    refused = pytest.raises(exported.CannotExport, match="another process")
    with exported._only_one(target), refused, exported._only_one(target):
        pass


def test_file_systems_without_locks_are_used(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There, two processes may both export; the slower one finds the work done."""
    import filelock

    def unsupported(lock: Any, *arguments: Any, **more: Any) -> None:
        raise NotImplementedError

    monkeypatch.setattr(filelock.FileLock, "acquire", unsupported)
    with exported._only_one(tmp_path / "target"):
        pass
    target = tmp_path / "target"
    target.mkdir()
    (target / "about.json").touch()
    work = tmp_path / "work"
    work.mkdir()
    exported._put(work, target)
    (target / "about.json").rename(target / "other")
    with pytest.raises(OSError):
        exported._put(work, target)


def test_a_made_graph_is_not_made_again(
    made: OnnxEmbedder, tiny: Path, in_process: list[list[str]]
) -> None:
    """Who waited for the lock looks again before exporting."""
    model = ModelFolder(tiny)
    exported._make(model, exported.graph_folder(model, "float32"), "float32")
    assert in_process == []


# -- running ---------------------------------------------------------------------------------------


def test_like_lengths_run_together() -> None:
    """Every text runs once, in runs whose padded size is bounded, longest last."""
    rng = np.random.default_rng(0)
    pieces = [[1] * int(n) for n in rng.integers(2, 256, 300)]
    runs = list(graph._runs(pieces))
    assert sorted(index for run in runs for index in run) == list(range(300))
    for run in runs:
        longest = max(len(pieces[index]) for index in run)
        assert len(run) * longest <= graph._PIECES_A_RUN
    assert list(graph._runs([[1] * 5000])) == [[0]]


def test_batches_keep_their_order(made: OnnxEmbedder) -> None:
    """However texts are grouped, each row is its text's."""
    texts = [f"{'word ' * (n * 7 % 31)} {n}" for n in range(400)]
    rows = made.embed(texts)
    for index in (0, 1, 57, 399):
        assert rows[index] @ made.embed([texts[index]])[0] > 0.9999


@pytest.mark.parametrize("threads", [0, -1, "two", 1.5])
def test_threads_are_checked(threads: Any) -> None:
    """A number of threads that cannot work raises and is named."""
    with pytest.raises(ConfigError, match="threads"):
        OnnxEmbedder(threads=threads)


def test_dtypes_are_checked() -> None:
    """An unknown type of numbers raises, and the known ones are named."""
    with pytest.raises(ConfigError, match="'float16' was given; it is one of float32, int8"):
        OnnxEmbedder(dtype="float16")


def test_one_thread_gives_the_same(made: OnnxEmbedder, tiny: Path) -> None:
    """The number of threads changes the time only."""
    assert agreement(OnnxEmbedder(tiny, threads=1), made) > 0.9999


def test_processors_are_counted_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the system does not tell which processors may be used."""
    assert graph._cpus() >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert graph._cpus() == 1


def test_threads_that_come_first_load_once(tiny: Path, made: OnnxEmbedder) -> None:
    """Of many threads that embed first, one opens the graph."""
    embedder = OnnxEmbedder(tiny)
    engines: list[Any] = []
    threads = [
        threading.Thread(target=lambda: engines.append(embedder._loaded())) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(engine) for engine in engines}) == 1


def test_embedders_of_one_model_share_its_graph(tiny: Path, made: OnnxEmbedder) -> None:
    """Several caches in one process hold the weights once; other threads need another pool."""
    first, second = OnnxEmbedder(tiny), OnnxEmbedder(tiny)
    assert first._loaded() is second._loaded()
    assert first._loaded() is not OnnxEmbedder(tiny, threads=1)._loaded()
    del first, second
    gc.collect()
    assert len(GRAPHS._open) == 0


FORKED = """
    import os, sys, threading
    from semcache_core.embedders import OnnxEmbedder, SentenceTransformerEmbedder

    kinds = {"onnx": OnnxEmbedder, "torch": SentenceTransformerEmbedder}
    embedder = kinds[sys.argv[2]](sys.argv[1])
    texts = [f"text number {n}" for n in range(40)]
    expected = embedder.embed(texts)
    pid = os.fork()
    if pid == 0:
        rows = embedder.embed(texts)
        os._exit(0 if (rows * expected).sum(axis=1).min() > 0.9999 else 1)
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "torch"])
def test_a_forked_child_embeds(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that was forked after the first embedding does not hang on its parent's threads."""
    # The real model, which several threads work on; from the user's folder, where it is exported.
    monkeypatch.delenv("SEMCACHE_HOME", raising=False)
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(FORKED)]
    command += [str(packaged_minilm()), kind]
    assert subprocess.run(command, timeout=100, check=False).returncode == 0


def test_a_childs_graph_is_opened_anew(tiny: Path, made: OnnxEmbedder) -> None:
    """In the child the parent's pool is put aside, and what nobody loaded is loaded there."""
    embedder = OnnxEmbedder(tiny)
    before = embedder._loaded()
    for each in (GRAPHS, embedder):
        each.in_forked_child()
    assert embedder._loaded() is not before
    unused = OnnxEmbedder(tiny)
    unused.in_forked_child()
    assert unused.embed(["a"]).shape == (1, 32)


# -- on torch --------------------------------------------------------------------------------------


def test_torch_is_loaded_when_first_needed(tiny: Path) -> None:
    """Construction, identity, dimension and fits load nothing."""
    embedder = SentenceTransformerEmbedder(tiny)
    assert embedder.identity
    assert embedder.dimension == 32
    assert embedder.fits("a")
    assert embedder._model is None
    embedder.in_forked_child()
    embedder.embed(["a"])
    assert embedder._model is not None


def test_torch_in_a_child_uses_one_thread(tiny: Path) -> None:
    """A parallel region would wait for the parent's threads."""
    import torch

    threads = torch.get_num_threads()
    embedder = SentenceTransformerEmbedder(tiny, device="cpu")
    embedder.embed(["a"])
    try:
        embedder.in_forked_child()
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)


def test_without_a_tokenizer_file_the_model_tells_its_window(tiny: Path, tmp_path: Path) -> None:
    """Models of old bring a vocabulary only."""
    folder = shutil.copytree(tiny, tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    embedder = SentenceTransformerEmbedder(folder, device="cpu")
    assert embedder.fits("word " * 20)
    assert not embedder.fits("word " * 31)


def test_without_a_tokenizer_file_the_graph_tells_its_window(
    tiny: Path, tmp_path: Path, home: Path, in_process: list[list[str]]
) -> None:
    """The exported tokenizer is the one that the model was loaded with."""
    folder = shutil.copytree(tiny, tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    embedder = OnnxEmbedder(folder)
    assert embedder.fits("word " * 20)
    assert not embedder.fits("word " * 31)
    assert isinstance(embedder._engine, graph.Graph)


def test_progress_bars_stay_as_they_were(tiny: Path) -> None:
    """Loading is quiet, and the user's own setting is put back."""
    from transformers.utils import logging as bars

    for enabled in (True, False):
        (bars.enable_progress_bar if enabled else bars.disable_progress_bar)()
        on_torch.load(tiny, "cpu")
        assert bars.is_progress_bar_enabled() is enabled
    bars.enable_progress_bar()
