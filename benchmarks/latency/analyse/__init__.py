"""Analysis of timings: summaries, verdicts, recommendations."""
