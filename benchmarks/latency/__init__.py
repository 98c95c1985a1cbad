"""The latency suite: what every artifact costs, beside the original, the machine's peaks and a baseline."""
