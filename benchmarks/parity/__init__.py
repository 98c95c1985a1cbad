"""What parity means: the checks of one artifact's outputs, and what explains a failed one."""
