"""The OpenAPI document of the present API."""

from importlib.metadata import version
from typing import Any

_HOUSE = {
    "household": "Which of the bundled houses; beyond them they repeat a week later",
    "state_of_charge_pct": "Charge at the start [%]",
    "battery_wh": "Size of the battery [Wh]",
    "solar_kw": "Installed PV [kW]",
    "load_scale": "Factor on the load",
    "battery_voltage_v": "Voltage of the battery [V]",
    "grid_current_max_a": "Largest set-point of the converter [A]",
}
_PATHS: tuple[tuple[str, str, str, str], ...] = (
    ("get", "/health", "Whether it is well", ""),
    ("get", "/state", "Time, acceleration and line", "State"),
    ("patch", "/state", "Set acceleration, a leak of the line, or a short dip of its voltage", "StateChange"),
    ("get", "/units", "All units", "Unit"),
    ("get", "/units/{id}", "One unit", "Unit"),
    ("put", "/units/{id}", "Add a unit", "House"),
    ("patch", "/units/{id}", "Set charge, permission or voltage of a battery", "UnitChange"),
    ("delete", "/units/{id}", "Take a unit away", ""),
    ("put", "/units/{id}/converter", "Command a converter", "Converter"),
    ("get", "/units/{id}/day", "The unit's last 24 hours, one point each ten minutes", ""),
    ("get", "/units/{id}/fault", "What is wrong with a unit on purpose", "Fault"),
    ("put", "/units/{id}/fault", "Make something go wrong; an empty object makes it well", "Fault"),
    ("get", "/snapshots", "Names of the saved snapshots", ""),
    ("put", "/snapshots/{name}", "Save everything under a name", ""),
    ("post", "/snapshots/{name}/load", "Go on from a snapshot", "State"),
    ("get", "/events", "A WebSocket: everything, then each second the units that have changed", ""),
)


def _number(description: str = "") -> dict[str, Any]:
    return {"type": "number", "description": description}


def openapi() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    paths: dict[str, Any] = {}
    for method, path, summary, schema in _PATHS:
        operation: dict[str, Any] = {
            "summary": summary,
            "operationId": method + "".join(part.strip("{}").title() for part in path.split("/")),
            "responses": {
                "200": {"description": "Done"},
                "4XX": {"description": "Refused: `error` names the parameter, what was found and expected"},
            },
        }
        names = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
        operation["parameters"] = [{"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in names]
        content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}} if schema else None
        if content and method in ("put", "patch"):
            operation["requestBody"] = {"required": True, "content": content}
        elif content:
            operation["responses"]["200"]["content"] = content
        paths.setdefault(f"/api/v1{path}", {})[method] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "APIS emulator", "version": version("apis-interchange"), "description": "Houses with batteries on one DC line"},
        "paths": paths,
        "components": {"schemas": _schemas()},
    }


def _schemas() -> dict[str, Any]:
    mode = {"type": "string", "enum": ["WAIT", "CHARGE", "DISCHARGE", "VOLTAGE_REFERENCE"]}
    converter = {
        "mode": mode,
        "line_voltage_v": _number("The voltage to aim at, 0 to 425 V"),
        "current_a": _number("The current limit [A]"),
        "droop_ratio": _number("0 to 4"),
    }
    flags = {name: {"type": "boolean"} for name in ("silent", "frozen", "stuck", "no_ramp", "heavy_alarm", "lost")}
    numbers = {name: _number() for name in ("delay_s", "noise", "offset_a", "offset_v")}
    return {
        "House": _object(
            {**{name: _number(text) for name, text in _HOUSE.items()}, "losses": {"type": "object"}, "protection": {"type": "object"}}
        ),
        "Unit": {"type": "object", "description": "A unit as it is; what it is made of (`house`) and what is wrong with it (`fault`)"},
        "UnitChange": _object({"state_of_charge_pct": _number(), "permission": {"type": "integer"}, "battery_voltage_v": _number()}),
        "Converter": _object(converter, ["mode", "line_voltage_v", "current_a"]),
        "Fault": _object({**flags, **numbers, "http_error": {"type": ["integer", "null"]}}),
        "State": {"type": "object"},
        "StateChange": _object({name: _number() for name in ("acceleration", "leak_a", "dip_ratio", "dip_s")}),
    }


def _object(properties: dict[str, Any], required: list[str] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": required or [], "additionalProperties": False}
