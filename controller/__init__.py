"""mcoa: a Mobile IPv6 home agent for several care-of addresses, with P4 switches as its data plane."""
