"""An invisible watermark for film and animation frames, and a detector whose p-values are true.

The library is read from the bottom up: `watermark.key`, `watermark.profile`, `watermark.embed`,
`watermark.detect`, `watermark.stills`, `watermark.registry`.
Nothing is imported here, so that naming one module costs only that module.
"""
