"""Exit with 0 if the daemon of this container is ready: its models are warm, and it is not stopping."""

import os
import sys
from http.client import HTTPConnection

# Linux connects 0.0.0.0 to this machine. No proxy is asked, as urllib would where the container's environment has one.
connection = HTTPConnection(os.environ["CORTEXCAST_HOST"], int(os.environ["CORTEXCAST_PORT"]), timeout=4)
try:
    connection.request("GET", "/readyz")
    response = connection.getresponse()
except OSError as error:
    sys.exit(f"no daemon answers at {connection.host}:{connection.port}: {error}")
print(response.status, response.read().decode())
sys.exit(response.status != 200)
