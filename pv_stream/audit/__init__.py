"""Audit: logs read back, replayed, explained and checked against scenarios. Files, no broker."""
