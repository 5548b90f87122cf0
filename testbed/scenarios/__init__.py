"""What is done to a running network, as data: steps, traffic meanwhile, and what has to hold in the end."""
