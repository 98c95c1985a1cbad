"""Image compression: images to bytes and back."""
