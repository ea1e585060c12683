"""From what hospitals and safety departments send to canonical events.

Every message ends as accepted, held or rejected with a code; nothing here raises on bad data. Each standard has a room
of its own; what all share, such as units, drugs, times, pseudonyms and holds, lies beside them.
"""
