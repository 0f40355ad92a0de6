"""Tokens: JSON Web Tokens, and the sign-ins that they belong to."""
