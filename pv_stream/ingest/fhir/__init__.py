"""FHIR R4 resources: documents, observations, medications, findings, reports, people."""
