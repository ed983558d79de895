"""HL7 v2 over MLLP: ADT, ORU and MDM → arrivals."""
