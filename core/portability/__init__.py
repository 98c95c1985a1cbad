"""Where an exported file can run: the oldest runtime, and the operators that accelerators leave out."""
