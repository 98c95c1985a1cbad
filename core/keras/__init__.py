"""Keras models and SavedModels; the only part of core that imports TensorFlow."""
