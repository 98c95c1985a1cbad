"""The command line: argument parsing and printing; each command calls one function of a room."""
