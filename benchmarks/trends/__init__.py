"""Results over time: verifications and benchmarks in one file, and where their figures changed."""
