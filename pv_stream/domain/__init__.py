"""The vocabulary of pharmacovigilance that the rest is written in: facts, times, codes, outputs. Pure."""
