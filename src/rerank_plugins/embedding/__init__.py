"""What the embedding facade is made of: instructions, the query cache, and vectors of more than one kind."""
