"""Rows: the tables and every statement on them. Knows the words of ``stream``, no protocol and no tensor."""
