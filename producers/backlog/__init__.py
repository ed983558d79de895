"""The backlog: files of years → arrivals on the backlog lane, over a manifest in SQL, so that nothing is sent twice."""
