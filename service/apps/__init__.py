"""Finding, loading and running app code: the one execution seam, import spaces, hooks, contexts."""
