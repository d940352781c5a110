"""The control plane's HTTP API over its Unix socket."""
import http.client
import json
import socket


class ApiError(Exception):
    def __init__(self, method, path, status, body):
        super().__init__(f"{method} {path}: {status} {body}")
        self.status = status
        self.body = body


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, timeout_s):
        super().__init__("fairlead", timeout=timeout_s)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class ControlClient:
    """Opens a connection for each request, or keeps one with `keep` (for benches).

    The methods return decoded JSON. Statuses 4xx and 5xx raise ApiError.
    """

    def __init__(self, path, timeout_s=60, keep=False):
        self.path = str(path)
        self.timeout_s = timeout_s
        self._kept = _UnixConnection(self.path, timeout_s) if keep else None

    def raw(self, method, path, body=None, headers=None):
        """Returns (status, body text) for any status. `body`: bytes or str, sent unchanged."""
        connection = self._kept or _UnixConnection(self.path, self.timeout_s)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.read().decode(errors="replace")
        except Exception:
            connection.close()
            raise
        finally:
            if connection is not self._kept:
                connection.close()

    def request(self, method, path, value=None):
        body = None if value is None else json.dumps(value)
        headers = {} if value is None else {"Content-Type": "application/json"}
        status, text = self.raw(method, path, body, headers)
        if status >= 400:
            raise ApiError(method, path, status, text)
        return json.loads(text) if text.strip() else None

    def get(self, path):
        return self.request("GET", path)

    def post(self, path, value=None):
        return self.request("POST", path, value)

    def put(self, path, value=None):
        return self.request("PUT", path, value)

    def patch(self, path, value):
        return self.request("PATCH", path, value)

    def delete(self, path):
        return self.request("DELETE", path)
