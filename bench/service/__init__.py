"""The detect service under load: a real ``sukashi serve``, and what sends to it."""
