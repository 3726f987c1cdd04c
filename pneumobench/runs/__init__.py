"""SUITE -> JOBS -> RECORDS: the main path, and what a finished run can be asked."""
