"""Exit codes of the command line; those of errors stand at their classes, in pneumobench.errors."""

from __future__ import annotations

from typing import Final

from pneumobench import errors
from pneumobench.errors import DataError, PneumobenchError, SettingsError

DONE: Final = 0
FAILED: Final = PneumobenchError.exit_code  # whatever is neither of the two below
WRONG_SETTINGS: Final = SettingsError.exit_code
UNUSABLE_DATA: Final = DataError.exit_code
CHECK_FAILED: Final = 4  # a job or a check failed; its result was written all the same
DIFFERS: Final = 5  # a run is not what its hashes or its predictions say
INTERRUPTED: Final = 130  # Ctrl-C
TERMINATED: Final = errors.TERMINATED  # SIGTERM
