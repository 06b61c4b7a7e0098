"""The process and its files: forks and exits, atomic writes, attributes that are computed once."""
