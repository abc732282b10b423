"""Admission: who may wait for a replica, in which order, and who is told to come back later."""
