"""Messages: what people read of us, in their language."""
