"""Being one of many replicas: heartbeat, finding a session's owner, relay."""
