"""Pixel shuffles of PyTorch as depth-to-space in the order of every other format.

PyTorch has the values of a block side by side in the channels, TensorFlow and ONNX's default have them apart. Where a
convolution makes them, its filters are put in the other order, so that no channel has to be moved.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from pocketvae.formats.onnx.model import array, initializers, replace_array


def reorder_filters(graph: Any) -> int:
    """Puts the filters in front of each shuffle in the order of ONNX's default, in place; returns how many."""
    readers = Counter(name for node in graph.node for name in node.input)
    makers = {name: node for node in graph.node for name in node.output}
    stored, outputs = initializers(graph), {output.name for output in graph.output}
    count = 0
    for node in graph.node:
        settings = {item.name: item for item in node.attribute}
        if node.op_type != "DepthToSpace" or "mode" not in settings or settings["mode"].s != b"CRD":
            continue
        made = node.input[0]
        maker = makers.get(made)
        if maker is None or maker.op_type != "Conv" or readers[made] > 1 or made in outputs:
            continue
        weights = [name for name in maker.input[1:] if name]
        if not all(name in stored and readers[name] == 1 for name in weights) or _groups(maker) > 1:
            continue
        block = settings["blocksize"].i
        for name in weights:
            values = array(stored[name])
            replace_array(stored[name], values[_order(len(values), block**2)])
        settings["mode"].s = b"DCR"
        count += 1
    return count


def _groups(node: Any) -> int:
    return next((int(item.i) for item in node.attribute if item.name == "group"), 1)


def _order(channels: int, values: int) -> Any:
    """Returns which filter makes each channel: all first values of the blocks, then all second ones."""
    return np.arange(channels).reshape(channels // values, values).T.reshape(-1)
