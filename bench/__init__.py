"""Experiments on the watermark: what is found, seen, timed and falsely alarmed."""

from watermark.threads import one_for_algebra

one_for_algebra()  # as the command does
