"""The registry in MLflow's pages, as a person sees it and changes it: MLflow's own client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from doggo.tracking.mlflow import store_urls
from doggo.tracking.mlflow_client import connect


class Pages:
    """The registry of the embedded tracker under `home`. Versions are the bundle store's."""

    def __init__(self, home: Path) -> None:
        self.client: Any = connect(store_urls(home)[0])

    def aliases(self, model: str) -> dict[str, int]:
        """Return alias → version, as the pages of a model show it."""
        found = self.client.get_registered_model(model).aliases
        ours = {str(item.version): number for number, item in self._versions(model).items()}
        return {alias: ours[str(number)] for alias, number in found.items()}

    def states(self, model: str) -> dict[int, str | None]:
        """Return version → its tag `state`."""
        return {n: item.tags.get("state") for n, item in self._versions(model).items()}

    def move(self, model: str, alias: str, version: int) -> None:
        """Move an alias by hand."""
        number = self._versions(model)[version].version
        self.client.set_registered_model_alias(model, alias, number)

    def _versions(self, model: str) -> dict[int, Any]:
        found = self.client.search_model_versions(f"name = '{model}'")
        return {int(item.tags["doggo.version"]): item for item in found}
