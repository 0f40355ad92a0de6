"""What the package costs, measured against a hand-written view that does the bare minimum."""
