"""The detect service: comes after the video work."""
