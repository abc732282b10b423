"""The actions of `warmfront forecast`, one to a module: what was asked in, what was found out."""
