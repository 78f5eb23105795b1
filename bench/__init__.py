"""Experiments on the watermark: what is found, seen, timed and falsely alarmed."""
