"""Where replicas meet: the store's contract and its implementations. Never imports ``service``."""
