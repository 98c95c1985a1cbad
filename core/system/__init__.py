"""The interface to the machine: files, caches, clocks, tools."""
