"""Small whole VAEs as SavedModels."""

import numpy as np
import tensorflow as tf

X = np.linspace(0, 1, 32, dtype=np.float32).reshape(2, 4, 4, 1)
_STEPS = {
    "log_var": lambda mean, spread, noise: mean + tf.exp(0.5 * spread) * noise,
    "halved": lambda mean, spread, noise: noise * tf.exp(spread / 2.0) + mean,
    "log_std": lambda mean, spread, noise: mean + noise * tf.exp(spread),
    "var": lambda mean, spread, noise: mean + noise * tf.sqrt(tf.exp(spread) + 0.1),
    "std": lambda mean, spread, noise: mean + noise * tf.nn.softplus(spread),
    "sqrt_exp": lambda mean, spread, noise: mean + tf.sqrt(tf.exp(spread)) * noise,
}


class Whole(tf.Module):
    """Takes images `[N, 4, 4, 1]`, and a label where it is conditional, draws `[N, 3]` and returns images."""

    def __init__(self, step="log_var", noise="normal"):
        super().__init__()
        rng = np.random.default_rng(1)
        self.step, self.noise = step, noise
        self.inside = tf.Variable(rng.normal(size=(16, 6)).astype(np.float32))
        self.outside = tf.Variable(rng.normal(size=(3, 16)).astype(np.float32))
        self.table = tf.Variable(rng.normal(size=(10, 3)).astype(np.float32))

    def moments(self, x):
        return tf.split(tf.reshape(x, (-1, 16)) @ self.inside, 2, axis=-1)

    def decoded(self, z):
        return tf.reshape(tf.sigmoid(z @ self.outside), (-1, 4, 4, 1))

    def drawn(self, x):
        mean, spread = self.moments(x)
        draw = tf.random.normal if self.noise == "normal" else tf.random.uniform
        return _STEPS[self.step](mean, spread, draw(tf.shape(mean)))

    @tf.function(input_signature=[tf.TensorSpec((None, 4, 4, 1), name="x")])
    def whole(self, x):
        return {"image": self.decoded(self.drawn(x))}

    @tf.function(
        input_signature=[tf.TensorSpec((None, 4, 4, 1), name="x"), tf.TensorSpec((None,), tf.int32, name="label")]
    )
    def conditional(self, x, label):
        z = self.drawn(x + tf.reshape(tf.cast(label, tf.float32), (-1, 1, 1, 1)))
        return {"image": self.decoded(z + tf.gather(self.table, label))}

    @tf.function(input_signature=[tf.TensorSpec((None, 4, 4, 1), name="x")])
    def hierarchical(self, x):
        first = self.drawn(x)
        second = self.drawn(x + tf.reduce_mean(first))
        return {"image": self.decoded(first * second)}

    @tf.function(input_signature=[tf.TensorSpec((None, 4, 4, 1), name="x")])
    def skipping(self, x):
        return {"image": self.decoded(self.drawn(x)) + x}


def write(path, signature="whole", **given):
    """Writes a model with one signature, and returns the model."""
    model = Whole(**given)
    tf.saved_model.save(model, str(path), signatures=getattr(model, signature))
    return model
