"""Pages: sign-in, joining, sign-out and devices, for people with a browser."""
