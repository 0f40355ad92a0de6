"""Web: the routes, and everything that knows the request."""
