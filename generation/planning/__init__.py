"""What is asked for, together with what, and when."""
