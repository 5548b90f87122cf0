"""The mobility protocol engine: no sockets, no clock, no asyncio, no logging."""
