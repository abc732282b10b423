"""What is abnormal and who is told."""
