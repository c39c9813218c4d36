"""Events and progress of a running job."""
