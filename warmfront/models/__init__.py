"""Models on disk: a repository of them, what they are worth, and how to make them smaller."""
