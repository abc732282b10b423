"""The live console: one page and the JSON behind it."""
