"""Core: the rules and records that know neither Flask nor requests."""
