"""What a pack says about its symbols together: clusters, their labels, nearest neighbours. numpy only."""
