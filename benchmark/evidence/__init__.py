"""Studies on real radiographs of what the suites should say."""
