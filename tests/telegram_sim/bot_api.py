"""Checks values against the machine-readable Bot API: members, required ones, types."""

from __future__ import annotations

from typing import Any

_PLAIN: dict[str, tuple[type, ...]] = {
    "Integer": (int,),
    "String": (str,),
    "Boolean": (bool,),
    "Float": (int, float),
}


def complaints(api: dict[str, Any], value: object, types: list[str], at: str = "") -> list[str]:
    """Return what is wrong with a value that should be of one of `types`; empty if nothing."""
    tried = [_against(api, value, kind, at) for kind in types]
    return min(tried, key=len)


def _against(api: dict[str, Any], value: object, kind: str, at: str) -> list[str]:
    if kind in _PLAIN:
        fits = isinstance(value, _PLAIN[kind]) and (kind == "Boolean") == isinstance(value, bool)
        return [] if fits else [f"{at}: {value!r} is no {kind}"]
    if kind.startswith("Array of "):
        if not isinstance(value, list):
            return [f"{at}: {value!r} is no array"]
        inner = kind.removeprefix("Array of ")
        return [
            wrong
            for place, item in enumerate(value)
            for wrong in complaints(api, item, [inner], f"{at}[{place}]")
        ]
    described = api["types"][kind]
    if "subtypes" in described:
        return complaints(api, value, described["subtypes"], at)
    return _members(api, value, described, f"{at}:{kind}")


def _members(api: dict[str, Any], value: object, described: dict[str, Any], at: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{at}: {value!r} is no object"]
    fields = {one["name"]: one for one in described.get("fields", [])}
    wrong = [f"{at} has no member {name}" for name in value.keys() - fields.keys()]
    wrong += [
        f"{at} lacks {name}"
        for name, one in fields.items()
        if one["required"] and name not in value
    ]
    for name in value.keys() & fields.keys():
        wrong += complaints(api, value[name], fields[name]["types"], f"{at}.{name}")
    return wrong
