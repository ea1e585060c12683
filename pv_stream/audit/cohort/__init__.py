"""Outcome tables: what became of each occurrence of suspected DRESS in a log, and how that compares with a paper."""
