"""`make fuzz`: what nobody would send, against the parsers themselves and against a real process."""
