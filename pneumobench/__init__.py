"""pneumobench."""
