"""What demand is like and what was fitted to it: measured, then said in plain sentences."""
