"""The worker as an HTTP service, without RunPod."""
