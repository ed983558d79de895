"""The CapabilityStatement: what this FHIR endpoint takes."""

from typing import Any

from producers.fhir.resource import TAKEN_ALONE


def capability_statement() -> dict[str, Any]:
    """A CapabilityStatement of R4 for a server that resources are only sent to."""
    taken = [{"type": kind, "interaction": [{"code": "create"}, {"code": "update"}]} for kind in TAKEN_ALONE]
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026-01-01",
        "kind": "instance",
        "implementation": {"description": "dxstream: results, documents and stays are taken in; nothing can be read or searched"},
        "software": {"name": "dxstream"},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{"mode": "server", "resource": taken, "interaction": [{"code": "transaction"}, {"code": "batch"}]}],
    }
