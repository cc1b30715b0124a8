"""Which facts of the systems' acceptance tables hold, shown from what the program registers and what the tests saw."""
