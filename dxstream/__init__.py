"""The front door: the command line, and everything on one machine."""
