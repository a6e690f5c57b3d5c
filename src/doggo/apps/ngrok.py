"""The public address of the ngrok tunnel that runs on this machine."""

from __future__ import annotations

import json
import urllib.request
from urllib.error import URLError

from doggo.core.errors import UsageError

API_URL = "http://127.0.0.1:4040/api/tunnels"  # ngrok's agent, its local API


def tunnel_url(api_url: str = API_URL) -> str:
    """Return the https address of the tunnel.

    Raises:
        UsageError: ngrok does not run here, or has no https tunnel.
    """
    try:
        with urllib.request.urlopen(api_url, timeout=3) as answer:  # noqa: S310 - ours
            found = json.load(answer)
    except (URLError, TimeoutError, ValueError) as error:
        raise UsageError(
            "no ngrok tunnel runs on this machine, so Telegram cannot reach the bot: start one "
            "with `ngrok http 8000`, give another address with --webhook, or run `doggo bot run`, "
            "which needs none"
        ) from error
    tunnels = found.get("tunnels", []) if isinstance(found, dict) else []
    for tunnel in tunnels:
        url = tunnel.get("public_url", "") if isinstance(tunnel, dict) else ""
        if isinstance(url, str) and url.startswith("https://"):
            return url
    raise UsageError("ngrok runs, but has no https tunnel: start it with `ngrok http 8000`")
