"""Live sessions of this replica: one Document each, its lock, callbacks and connections."""
