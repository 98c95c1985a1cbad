"""The command line: argument parsing and printing. The work is done by one function of a room per command."""
