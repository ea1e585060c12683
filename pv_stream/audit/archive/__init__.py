"""Archive: a topic copied to a folder of segments that nobody can change unseen (docs/audit.md gives the format)."""
