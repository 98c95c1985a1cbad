"""What timings mean: summaries, verdicts, recommendations."""
