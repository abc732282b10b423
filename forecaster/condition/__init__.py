"""Condition: what a demand series shows that no model should be fooled by."""
