"""What is done to a merge afterwards, one file each; every decorated function here is found and registered by name."""
