"""From what hospitals send to canonical events: HL7v2, FHIR R4 and canonical files.

Every message ends as accepted, held or rejected with a code; nothing here raises on bad data.
"""
