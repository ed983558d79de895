"""``python -m dxstream``: exit code 0 done, 1 failed, 2 wrong usage."""

from dxstream.cli import main

if __name__ == "__main__":
    main()
