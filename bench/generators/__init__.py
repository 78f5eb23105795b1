"""Models trained on marked frames, and whether the mark is in what they make."""
