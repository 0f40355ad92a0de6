"""The attackers in a box: each returns a row, and what leaked."""
