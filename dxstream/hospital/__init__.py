"""A simulated hospital: made-up scans, stays and notes, sent over the real protocols. Knows nothing of the receiver's inside."""
