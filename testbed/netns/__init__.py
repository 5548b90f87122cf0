"""A topology out of real parts: network namespaces, veth pairs, kernels, processes; and what is done to it."""
