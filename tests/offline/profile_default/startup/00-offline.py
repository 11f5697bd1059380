"""Kernels started with IPYTHONDIR=tests/offline refuse every connection but loopback (subprocesses go unwatched).

What is raised is not an OSError, so that code which falls back when a download fails cannot hide that it tried.
ZeroMQ, through which the kernel is spoken to, opens its sockets below Python and is not affected.
"""


def _guard():  # a function, for this file runs in the notebook's own namespace and is to leave no name there
    import ipaddress
    import socket

    class Offline(RuntimeError):
        """A chapter reached for the network."""

    def refuse_others(host):
        name = host.decode() if isinstance(host, bytes) else host
        if name in (None, "", "localhost"):
            return
        try:
            address = ipaddress.ip_address(name.split("%")[0])
            if address.is_loopback or address.is_unspecified:
                return
        except ValueError:
            pass  # a name, not an address
        raise Offline(f"this notebook tried to reach {name}; chapters run offline")

    def guard_method(method):
        def guarded(self, address, *rest):
            if self.family in (socket.AF_INET, socket.AF_INET6):
                refuse_others(address[0])
            return method(self, address, *rest)

        return guarded

    def guard_address(function):
        def guarded(address, *rest, **options):
            refuse_others(address[0])
            return function(address, *rest, **options)

        return guarded

    def guard_name(function):
        def guarded(host, *rest, **options):
            refuse_others(host)
            return function(host, *rest, **options)

        return guarded

    socket.socket.connect = guard_method(socket.socket.connect)
    socket.socket.connect_ex = guard_method(socket.socket.connect_ex)
    socket.create_connection = guard_address(socket.create_connection)
    socket.getaddrinfo = guard_name(socket.getaddrinfo)


_guard()
del _guard
