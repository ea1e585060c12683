"""Clinical knowledge: the rulebook's numbers, the criteria as tables, and what they say of a timeline. Pure."""
