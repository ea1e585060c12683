"""Bytes to domain and back: canonical events in, outputs out, patient states. Pure."""
