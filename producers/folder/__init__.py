"""The watched folder: files → arrivals, by suffix."""
