"""Looks for what goes wrong in deployments before users find it: each check says what it saw, and what to do.

Nothing here serves anybody, and nothing that a check leaves in the store outlives it by more than a day.
"""
