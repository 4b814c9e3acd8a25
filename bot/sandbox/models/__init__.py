"""Scripted models, served in the OpenAI format, for the demo and the tests."""
