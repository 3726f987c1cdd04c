"""What lies on disk: run folders, records of jobs and explanations, the state of a run, and where it comes from."""
