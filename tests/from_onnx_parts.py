"""A component of an ONNX file, as it is prepared."""

import copy


class Part:
    """Graphs that change alike, and the changes."""

    def __init__(self, model):
        self.model, self.original, self.changes = model, copy.deepcopy(model), []
