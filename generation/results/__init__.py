"""What is kept of a job, and written at its end."""
