"""HL7v2 messages: syntax, values, results, orders, people, merges, answers."""
