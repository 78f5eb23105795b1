"""The command line: the library with a face."""
