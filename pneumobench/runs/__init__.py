"""From a suite to jobs, from jobs to records, and questions to trained networks."""
