"""Verify: what was recorded live, record for record beside what a replay of the same log says (docs/audit.md)."""
