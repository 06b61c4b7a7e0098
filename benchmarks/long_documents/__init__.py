"""Is the sentence that answers a question found better by late chunking than by plain chunks? See ``__main__``."""
