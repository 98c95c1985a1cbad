"""Remote execution: the programs that run inside targets, and the communication with them."""
