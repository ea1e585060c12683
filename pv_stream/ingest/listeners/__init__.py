"""Listeners: MLLP and HTTP; they acknowledge only what is durably written."""
