from streams.tests.conftest import stream  # noqa: F401
