"""What is asked of arguments, names and other people's code, with errors that say the way out."""
