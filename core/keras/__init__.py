"""Keras models and SavedModels; the only place of core that imports TensorFlow."""
