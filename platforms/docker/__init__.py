"""One host with a Docker engine: containers, one network per producer, named volumes."""
