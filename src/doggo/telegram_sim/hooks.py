"""setWebhook, deleteWebhook, getWebhookInfo.

Owns what a webhook may be. Unlike Telegram's own server, and like a local one, any port and plain
HTTP will do, and certificates are not checked against an upload.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import urlsplit

from doggo.telegram_sim.arguments import DeleteWebhook, SetWebhook
from doggo.telegram_sim.backlog import Backlog
from doggo.telegram_sim.objects import WebhookInfo
from doggo.telegram_sim.records import Webhook
from doggo.telegram_sim.refusal import bad_request

MOST_CONNECTIONS = 100
MOST_SECRET = 256


class Hooks:
    """The webhook that is set.

    Attributes:
        current: None while the bot polls.
        listeners: called after each change.
    """

    def __init__(self, backlog: Backlog) -> None:
        self.current: Webhook | None = None
        self.listeners: list[Callable[[], None]] = []
        self._backlog = backlog

    def set(self, wanted: SetWebhook) -> bool:
        """Set the webhook; an empty address deletes it.

        Raises:
            ApiError: 400, the address or the secret will not do.
        """
        if wanted.url:
            _check(wanted)
        if wanted.drop_pending_updates:
            self._backlog.clear()
        self._backlog.allow(wanted.allowed_updates)
        most = min(max(wanted.max_connections, 1), MOST_CONNECTIONS)
        webhook = Webhook(url=wanted.url, secret=wanted.secret_token, max_connections=most)
        self.change(webhook if wanted.url else None)
        return True

    def delete(self, wanted: DeleteWebhook) -> bool:
        """Delete the webhook; what waits stays for getUpdates unless it is to be dropped."""
        if wanted.drop_pending_updates:
            self._backlog.clear()
        self.change(None)
        return True

    def info(self) -> WebhookInfo:
        """Return how the webhook does."""
        webhook = self.current
        info: WebhookInfo = {
            "url": webhook.url if webhook else "",
            "has_custom_certificate": False,
            "pending_update_count": len(self._backlog),
        }
        if webhook is not None:
            info["max_connections"] = webhook.max_connections
            if webhook.last_error_date:
                info["last_error_date"] = webhook.last_error_date
                info["last_error_message"] = webhook.last_error
        if self._backlog.allowed is not None:
            info["allowed_updates"] = sorted(self._backlog.allowed)
        return info

    def change(self, webhook: Webhook | None) -> None:
        """Deliver to another webhook from now on, or to none."""
        self.current = webhook
        for listener in tuple(self.listeners):
            listener()


def _check(wanted: SetWebhook) -> None:
    try:
        url = urlsplit(wanted.url)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
    except ValueError:
        usable = False
    if not usable or re.search(r"[\s\x00-\x1f\x7f]", wanted.url):
        raise bad_request("invalid webhook URL specified")
    if len(wanted.secret_token) > MOST_SECRET:
        raise bad_request("secret token is too long")
    if not re.fullmatch(r"[A-Za-z0-9_-]*", wanted.secret_token):
        raise bad_request("secret token contains unallowed characters")
