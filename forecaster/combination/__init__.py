"""The combination: members are judged at past origins, weighted, joined and calibrated."""
