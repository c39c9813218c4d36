"""What jobs count: of one job while it runs (`job`), and of all jobs of a process (`process`)."""
