"""The public address of the ngrok tunnel that runs on this machine."""

from __future__ import annotations

import json
import urllib.request
from http.client import HTTPException

from doggo.core.errors import UsageError


def tunnel_url(agent_url: str) -> str:
    """Return the https address of the tunnel.

    Args:
        agent_url: where the agent's local API answers (its `web_addr`).

    Raises:
        UsageError: ngrok does not run here, or has no https tunnel.
    """
    try:
        asking = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is right here
        with asking.open(f"{agent_url.rstrip('/')}/api/tunnels", timeout=3) as answer:
            found = json.load(answer)
    except (OSError, HTTPException, ValueError) as error:
        raise UsageError(
            "no ngrok tunnel runs on this machine, so Telegram cannot reach the bot: start one "
            "with `ngrok http 8000`, give another address with --webhook, or run `doggo bot run`, "
            "which needs none"
        ) from error
    tunnels = found.get("tunnels") if isinstance(found, dict) else None
    for tunnel in tunnels if isinstance(tunnels, list) else []:
        url = tunnel.get("public_url", "") if isinstance(tunnel, dict) else ""
        if isinstance(url, str) and url.startswith("https://"):
            return url
    raise UsageError("ngrok runs, but has no https tunnel: start it with `ngrok http 8000`")
