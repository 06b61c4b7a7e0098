"""The dialects: one file each, which says what a body's keys mean, how an answer looks, and how an error does."""
