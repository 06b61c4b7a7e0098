"""Training data: one row schema, its readers and writers, and the checks before the first step."""
