"""Child processes, for work that may crash or hang or must be measured separately."""
