"""How long sessions are away when their replica goes, and what it costs to keep them: `make durability`."""
