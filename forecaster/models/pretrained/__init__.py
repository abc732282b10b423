"""Foundation models of others, each behind the seam of a foundation model."""
