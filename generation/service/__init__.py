"""The worker over HTTP, without RunPod."""
