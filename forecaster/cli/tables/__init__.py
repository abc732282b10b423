"""What people read: tables and sentences, made from values alone."""
