"""`python -m pneumobench`."""

from pneumobench.cli.main import entry

if __name__ == "__main__":
    entry()
