"""Flows: from an identifier to a code, and from a code to a token."""
