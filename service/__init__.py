"""The session service: ``svc serve``."""
