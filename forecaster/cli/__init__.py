"""`warmfront forecast`: from the arguments to demand, its forecast, and what a person reads."""
