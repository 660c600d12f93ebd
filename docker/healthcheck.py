"""Exits 0 if the service in this container answers GET PATH with 200: `python healthcheck.py PATH [PORT]`."""

import http.client
import sys

TIMEOUT_SECONDS = 5.0


def main() -> None:
    """Ask once. Nothing but the standard library, and no proxy that the environment may name."""
    path, port = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8000
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"{path} was not answered: {error}")
    finally:
        connection.close()
    sys.exit(None if status == 200 else f"{path} was answered with {status}")


if __name__ == "__main__":
    main()
