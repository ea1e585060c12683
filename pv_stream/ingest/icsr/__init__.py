"""Individual case safety reports: E2B(R3), E2B(R2) and openFDA."""
