"""Results: checkpoints while a job runs, reuse of earlier results, and the document written at its end."""
