"""`make soak`: an hour of visitors who come and go, on both stores, and whether anything grew."""
