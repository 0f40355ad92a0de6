"""What the package costs, beside the least that any code could cost; docs/performance.md."""
