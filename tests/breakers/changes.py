"""Random changes through the API."""

_NAMES = [f"s{number}" for number in range(8)]


def random_change(chance):
    """Returns (method, path, value). `chance`: a random.Random."""
    name = chance.choice(_NAMES)
    number = _NAMES.index(name)
    service = f"/v1/services/{name}"
    backend = f"10.0.{number}.{chance.randrange(1, 6)}"
    kind = chance.randrange(8)
    if kind == 0:
        backends = [{"address": f"10.0.{number}.{last}", "mac": "02:00:00:00:ee:01"} for last in (1, 2)]
        return "POST", "/v1/services", {"name": name, "frontends": [f"203.0.113.{number}:80/tcp"],
                                        "health_check": {"type": "none"}, "backends": backends}
    if kind == 1 and chance.random() < 0.3:
        return "DELETE", service, None
    if kind == 2:
        return "PATCH", service, {"drain_timeout": f"{chance.randrange(1, 3600)}s"}
    if kind == 3:
        return "POST", f"{service}/backends", {"address": backend, "mac": "02:00:00:00:ee:01"}
    if kind == 4 and chance.random() < 0.5:
        return "DELETE", f"{service}/backends/{backend}", None
    if kind == 5:
        return "PUT", f"{service}/backends/{backend}/drain", {"timeout": "1h"}
    if kind == 6 and chance.random() < 0.2:
        return "PUT", "/v1/seed", {"hash_seed": chance.randrange(1, 1 << 63)}
    return "PATCH", f"{service}/backends/{backend}", {"weight": chance.randrange(1, 1001)}
