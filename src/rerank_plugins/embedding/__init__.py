"""Parts of the embedding facade: instructions, the query cache, and vectors of several kinds."""
