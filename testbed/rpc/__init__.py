"""A gRPC server on asyncio's own transports, for servicers that protoc's plugin made.

grpcio's server makes one system call for every message that it sends, and wakes its thread for every one that comes; with small messages
that was most of what the embedded switch used of a processor. Here what is sent in one turn of the event loop leaves together, and what
came together is read together.

HTTP/2 is RFC 9113, its header compression RFC 7541 (the package hpack decodes it), and the mapping of gRPC onto it
https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md. Left out is what gRPC does not need: push, priorities, HTTP/1.1;
and compressed messages, which a client sends only to a server that says it takes them.
"""

from testbed.rpc.calls import Call
from testbed.rpc.server import Server

__all__ = ["Call", "Server"]
