"""Child processes that may crash, hang or must be measured alone."""
