"""Results as pages, Markdown and JUnit."""
