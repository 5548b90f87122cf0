"""Sessions with switches over P4Runtime: the only layer that knows gRPC."""
