"""What a plan is applied to."""
