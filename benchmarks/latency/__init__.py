"""The latency suite: the cost of every artifact, compared with the original, the machine's peaks and a baseline."""
