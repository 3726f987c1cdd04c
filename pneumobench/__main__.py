"""`python -m pneumobench`."""

from pneumobench.cli import entry

if __name__ == "__main__":
    entry()
