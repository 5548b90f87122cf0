"""Proof that a message comes from the node whose home address it names: RFC 4285 authenticators, ESP, keys, replay protection."""
