"""The small language model that ships with Warmfront, and the scripts that trained it."""
