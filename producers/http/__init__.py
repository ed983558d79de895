"""The HTTP port: FHIR, STOW-RS, health; token and limits."""
