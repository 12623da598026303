"""JSON documents as responses."""

import orjson
from starlette.responses import Response


def json_response(document: object) -> Response:
    """A document; 200."""
    return Response(orjson.dumps(document), media_type="application/json")
