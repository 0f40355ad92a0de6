"""The fixtures of the tests of storages."""

from storage_kit import key, limits, memcached_server, redis_server, store, uri_of

__all__ = ["key", "limits", "memcached_server", "redis_server", "store", "uri_of"]
