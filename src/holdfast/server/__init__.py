"""``holdfast serve``: A2A over HTTP and gRPC, health and metrics, for one database."""

from __future__ import annotations

import os

# Read by gRPC when it is first imported, which the A2A SDK does: what matters of its errors is told by our own.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
