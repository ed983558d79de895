"""Event → prediction: claim, prepare, infer, save; and the keeper that watches the ledger. Knows no protocol."""
