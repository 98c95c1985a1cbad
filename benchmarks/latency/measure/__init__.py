"""Running and timing, in processes of their own."""
