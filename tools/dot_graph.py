"""Makes core/semcache_core/indexes/dot.onnx, where the package onnx is installed."""

from pathlib import Path

from onnx import TensorProto, checker, helper

TARGET = Path(__file__).parents[1] / "core/semcache_core/indexes/dot.onnx"


def main() -> None:
    """Rows of bytes around 128, times columns of signed bytes, summed in 32 bits."""
    node = helper.make_node("MatMulInteger", ["rows", "columns", "zero"], ["sums"])
    graph = helper.make_graph(
        [node],
        "dot",
        [
            helper.make_tensor_value_info("rows", TensorProto.UINT8, ["rows", "dimension"]),
            helper.make_tensor_value_info("columns", TensorProto.INT8, ["dimension", "columns"]),
        ],
        [helper.make_tensor_value_info("sums", TensorProto.INT32, ["rows", "columns"])],
        [helper.make_tensor("zero", TensorProto.UINT8, [], [128])],
    )
    model = helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 13)])
    checker.check_model(model, full_check=True)
    TARGET.write_bytes(model.SerializeToString())


if __name__ == "__main__":
    main()
