"""What is reported while a job runs."""
