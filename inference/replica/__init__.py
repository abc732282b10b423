"""One running copy of a model behind an HTTP server."""
