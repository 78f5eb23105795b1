"""What is made of the benchmark's lines: a page, tables, the short table of the README."""
