"""Names of Keras 3's layers in traced graphs: those that the user gave them."""

from __future__ import annotations

from typing import Any


def keep_layer_names(tf: Any) -> None:
    """Lets Keras 3 open the name scope of a layer again under the same name.

    It opens one to build a layer and one to call it, and TensorFlow numbers the second: the layer `dense` becomes
    `dense_1`, and `dense_1` becomes `dense_1_2`, in every message and file. Names of operators stay unique.
    """
    try:
        from keras.src.backend.tensorflow.core import name_scope
    except ImportError:  # Another version of Keras, whose names are left alone.
        return
    if getattr(name_scope, "keeps_layer_names", False):
        return
    enter = name_scope.__enter__

    def enter_again(self: Any) -> Any:
        if hasattr(self, "_tf_name_scope") and not tf.executing_eagerly():
            outer = tf.get_current_name_scope()
            # TensorFlow opens a scope again whose name ends with a slash.
            self._tf_name_scope = tf.name_scope(f"{outer}/{self.name}/" if outer else f"{self.name}/")
        return enter(self)

    name_scope.__enter__, name_scope.keeps_layer_names = enter_again, True
