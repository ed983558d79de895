"""What flows through dxstream: the words that every other package shares. Knows nothing of ours."""
