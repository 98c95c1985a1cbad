"""A C++ project for a microcontroller: the model, its memory, a self-test and an example."""
