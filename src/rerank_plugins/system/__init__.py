"""The process and its files: forks and exits, whole writes, attributes that are computed once."""
