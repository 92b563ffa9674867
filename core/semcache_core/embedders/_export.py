"""From a sentence-transformers model to an ONNX graph: run in a process of its own.

`python -m semcache_core.embedders._export FOLDER TARGET DTYPE`. A process of its own keeps torch
out of the application, its noise off the application's console, and its memory for seconds only.
The whole model is traced, with its pooling and whatever else its modules.json names, so nothing
of it is rewritten here; the comparison at the end says whether the trace is true to the model.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from semcache_core.embedders._graph import (
    ABOUT_FILE,
    MODEL_FILE,
    PROBE,
    SENTENCE,
    TOKENIZER_FILE,
    TOKENS,
    Graph,
)
from semcache_core.embedders._model import ModelFolder
from semcache_core.embedders._window import UNBOUNDED
from semcache_core.embedders.sentence_transformers import load
from semcache_core.models import Matrix, Vector

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

REFUSED = 3
"""Exit status: this model cannot be exported; to try again would give the same."""
FLOORS = {"float32": 0.9999, "int8": 0.95}
"""The least cosine between a vector of the graph and torch's."""
_OPSET = 17
_SAMPLES = (
    PROBE,
    "",
    "a",
    "  What is the capital of   France?  ",
    "WHY DID MY PAYMENT OF $1,234.56 FAIL ON 2024-03-01?!",
    "Wie wird das Wetter morgen in München, und was ziehe ich an?",
    "北京的天气怎么样?",
    "my_function(x) -> List[int] raises a KeyError: 'é' 😀",
    "the quick brown fox jumps over the lazy dog " * 12,
    "one two three four five six seven eight nine ten " * 80,
)
"""Of very different lengths, so that a trace that froze a length is found out."""


class Refused(Exception):
    """The model cannot be exported, and why."""


def export(folder: Path, target: Path, dtype: str) -> None:
    """Write graph, tokenizer and what else is needed to `target`; raises `Refused`."""
    model = load(folder, "cpu").eval()
    expected = _unit(model.encode(list(_SAMPLES), show_progress_bar=False))
    _trace(model, target / MODEL_FILE)
    _describe(model, ModelFolder(folder).prompt, expected[0], FLOORS[dtype], target)
    _compare(Graph(target), expected, FLOORS["float32"])
    _fuse(model, target, expected)
    if dtype == "int8":
        _quantise(target / MODEL_FILE)
        _compare(Graph(target), expected, FLOORS[dtype])


def _describe(
    model: SentenceTransformer, prompt: str, probe: Vector, floor: float, target: Path
) -> None:
    tokenizer = model.tokenizer
    tokenizer.backend_tokenizer.save(str(target / TOKENIZER_FILE))
    about = {
        "window": min(model.max_seq_length or UNBOUNDED, UNBOUNDED),
        "prompt": prompt,
        "pad": tokenizer.pad_token_id or 0,
        "probe": probe.tolist(),
        "floor": floor,
    }
    (target / ABOUT_FILE).write_text(json.dumps(about))


def _trace(model: SentenceTransformer, file: Path) -> None:
    import torch

    class Whole(torch.nn.Module):
        """The model as a function of tensors."""

        def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            found = model(dict(zip(names, tensors, strict=True)))
            return found[SENTENCE], found[TOKENS]

    _attend_plainly(model)
    whole = Whole()
    whole.inner = model  # so that its weights belong to the graph
    features = {k: v for k, v in _features(model).items() if isinstance(v, torch.Tensor)}
    names = [name for name in features if name in ("input_ids", "attention_mask", "token_type_ids")]
    axes = {name: {0: "text", 1: "piece"} for name in (*names, TOKENS)} | {SENTENCE: {0: "text"}}
    with torch.no_grad():
        torch.onnx.export(
            whole,
            tuple(features[name] for name in names),
            str(file),
            input_names=names,
            output_names=[SENTENCE, TOKENS],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,  # the newer exporter needs onnxscript and gains nothing here
        )


def _attend_plainly(model: SentenceTransformer) -> None:
    """Attention as matrix products, which onnxruntime fuses; torch's own kernel traces badly."""
    transformer: Any = model[0]
    try:
        transformer.auto_model.set_attn_implementation("eager")
    except (AttributeError, ValueError):  # a model of another kind: as it is
        return


def _features(model: SentenceTransformer) -> dict[str, Any]:
    # `tokenize` was renamed in sentence-transformers 6, and warns there.
    prepare = getattr(model, "preprocess", None) or model.tokenize
    return dict(prepare(["How do I reset my password?", "A shorter text"]))


def _fuse(model: SentenceTransformer, target: Path, expected: Matrix) -> None:
    """Attention as one operation each, if that is true to the model: a fifth of the time."""
    file = target / MODEL_FILE
    plain = file.with_name("plain.onnx")
    shutil.copyfile(file, plain)
    try:
        _fuse_attention(file, model)
        _compare(Graph(target), expected, FLOORS["float32"])
    except Exception:  # noqa: BLE001  # not a BERT, or one that the optimizer misreads
        plain.replace(file)
    plain.unlink(missing_ok=True)


def _fuse_attention(file: Path, model: SentenceTransformer) -> None:
    from onnxruntime.transformers import (  # type: ignore[import-untyped]  # ships no types
        fusion_options,
        optimizer,
    )

    transformer: Any = model[0]
    config = transformer.auto_model.config
    options = fusion_options.FusionOptions("bert")
    # On a CPU these two are slower than what they replace.
    options.enable_skip_layer_norm = options.enable_embed_layer_norm = False
    fused = optimizer.optimize_model(
        str(file),
        "bert",
        num_heads=config.num_attention_heads,
        hidden_size=config.hidden_size,
        optimization_options=options,
        opt_level=0,
        only_onnxruntime=False,
    )
    fused.save_model_to_file(str(file))


def _quantise(file: Path) -> None:
    """Weights as 8-bit integers, one scale a column; activations are scaled as they come."""
    import onnx
    from onnxruntime.quantization import (  # type: ignore[import-untyped]  # ships no types
        QuantType,
        quantize_dynamic,
    )

    whole = file.with_name("float32.onnx")
    file.replace(whole)
    quantize_dynamic(
        whole,
        file,
        weight_type=QuantType.QInt8,
        per_channel=True,
        # Behind a fused attention the type cannot be inferred.
        extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT},
    )
    whole.unlink()


def _compare(graph: Graph, expected: Matrix, floor: float) -> None:
    together = _unit(graph.embed(_SAMPLES))
    alone = _unit(np.concatenate([graph.embed([text]) for text in _SAMPLES]))
    worst = float(min((each * expected).sum(axis=1).min() for each in (together, alone)))
    if not worst >= floor:
        raise Refused(
            f"its vectors differ from torch's: cosine {worst:.4f} where {floor} is needed"
        )


def _unit(rows: Any) -> Matrix:
    matrix: Matrix = np.asarray(rows, np.float32)
    norms: Matrix = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / norms


def main(arguments: list[str]) -> int:
    """Exit status; the last line on stderr says why it is not 0."""
    folder, target, dtype = arguments
    try:
        export(Path(folder), Path(target), dtype)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  # any error of the exporter means the same
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        print(reason if not isinstance(error, Refused) else error, file=sys.stderr)  # noqa: T201
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
