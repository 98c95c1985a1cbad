"""Running and timing of artifacts, in separate processes."""
