"""`Settings`: everything an operator can choose, read once from `ONE_MIN_*` variables.

An empty variable means the same as none. Names with the prefix that are not settings are left
alone, because Kubernetes makes such names for Services; `unknown_names` lists them for the log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TypeAlias
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

if TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX: Final = "ONE_MIN_"

Port: TypeAlias = Annotated[
    int, Meta(ge=0, le=65535, extra={"legal": "a port, 0 to 65535 (0: any free one)"})
]
Seconds: TypeAlias = Annotated[
    float, Meta(gt=0, le=86400, extra={"legal": "seconds, over 0 and at most 86400"})
]
Delay: TypeAlias = Annotated[float, Meta(ge=0, le=3600, extra={"legal": "seconds, 0 to 3600"})]
Count: TypeAlias = Annotated[
    int, Meta(ge=1, le=1_000_000, extra={"legal": "a whole number, 1 to 1000000"})
]
Bytes: TypeAlias = Annotated[
    int, Meta(ge=1024, le=1 << 30, extra={"legal": "bytes, 1024 to 1073741824"})
]
Flag: TypeAlias = Annotated[bool, Meta(extra={"legal": "true or false"})]
Text: TypeAlias = Annotated[str, Meta(extra={"legal": "a text"})]
Path: TypeAlias = Annotated[str, Meta(extra={"legal": "the path of a PEM file"})]
Url: TypeAlias = Annotated[str, Meta(extra={"legal": "an http or https URL without a path"})]
Names: TypeAlias = Annotated[tuple[str, ...], Meta(extra={"legal": "names with commas between"})]
Role: TypeAlias = Annotated[
    Literal["all", "grpc", "http"], Meta(extra={"legal": "all, grpc or http"})
]
Level: TypeAlias = Annotated[
    Literal["debug", "info", "warning", "error"],
    Meta(extra={"legal": "debug, info, warning or error"}),
]


def _about(text: str) -> Meta:
    return Meta(description=text)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What an operator can choose. The field `http_port` is the variable `ONE_MIN_HTTP_PORT`."""

    api_url: Annotated[Url, _about("Where 1min.ai, or a simulator of it, answers.")] = (
        "https://api.1min.ai"
    )
    role: Annotated[
        Role, _about("Which doors run: both, gRPC alone, or HTTP alone in front of another pod.")
    ] = "all"
    grpc_target: Annotated[
        Text, _about("Role `http`: the gRPC address to dial, e.g. `dns:///gateway-grpc:50051`.")
    ] = ""
    grpc_target_ca: Annotated[
        Path, _about("Role `http`: dial with TLS and trust this authority. Unset: plain text.")
    ] = ""
    host: Annotated[Text, _about("The address that all ports are bound to.")] = "127.0.0.1"
    http_port: Annotated[Port, _about("Port of the OpenAI door.")] = 8080
    grpc_port: Annotated[Port, _about("Port of the gRPC door.")] = 50051
    ops_port: Annotated[Port, _about("Port of `/livez`, `/readyz` and `/metrics`.")] = 9090
    log_level: Annotated[Level, _about("The least level that is logged.")] = "info"
    cors_origins: Annotated[
        Names, _about("Web origins that may call; `*` means any. Never with credentials.")
    ] = ("*",)
    models: Annotated[
        Names, _about("The only models that are offered, by id or alias. Unset: all.")
    ] = ()
    substitutes: Annotated[
        Flag, _about("Whether a retired model is answered, openly, by its successor.")
    ] = True
    catalogue_refresh: Annotated[
        Seconds, _about("How often the provider's list of models is read again.")
    ] = 900.0
    max_body_bytes: Annotated[Bytes, _about("The largest request, on either door.")] = 16 << 20
    max_in_flight: Annotated[Count, _about("Calls served at once; more are refused.")] = 512
    max_in_flight_per_key: Annotated[
        Count, _about("Calls served at once for one key, so that none takes the whole house.")
    ] = 128
    connect_timeout: Annotated[Seconds, _about("To connect to the provider.")] = 10.0
    first_byte_timeout: Annotated[
        Seconds, _about("From a streaming request to the head of its answer.")
    ] = 30.0
    idle_timeout: Annotated[
        Seconds, _about("The longest silence within an answer, the wait for its begin included.")
    ] = 120.0
    total_timeout: Annotated[Seconds, _about("For a whole answer.")] = 180.0
    stream_timeout: Annotated[Seconds, _about("For a streamed answer, end to end.")] = 600.0
    keepalive_interval: Annotated[
        Seconds, _about("Silence after which an SSE stream carries a comment.")
    ] = 15.0
    early_head_after: Annotated[
        Delay,
        _about(
            "Wait for the provider after which an SSE stream gets its head, at the price of its "
            "true status. 0: never."
        ),
    ] = 0.0
    retries: Annotated[
        Flag, _about("Whether calls that the provider cannot have charged for are tried again.")
    ] = True
    drain_delay: Annotated[
        Delay, _about("From the signal to stop until new calls are refused.")
    ] = 5.0
    drain_grace: Annotated[
        Delay, _about("How long open calls may take after that before they are cut.")
    ] = 30.0
    connection_age: Annotated[
        Seconds, _about("Age at which a gRPC connection is asked to reconnect.")
    ] = 300.0
    connection_age_grace: Annotated[
        Seconds, _about("How long its open calls may take after that.")
    ] = 660.0
    reflection: Annotated[Flag, _about("Whether gRPC reflection is served.")] = True
    upstream_proxy: Annotated[
        Text, _about("The HTTP proxy towards the provider, e.g. `http://proxy:3128`.")
    ] = ""
    upstream_ca: Annotated[
        Path, _about("Trust these authorities for the provider instead of the system's.")
    ] = ""
    tls_cert: Annotated[
        Path, _about("Certificate of both doors, and of role `http` as a client. Unset: no TLS.")
    ] = ""
    tls_key: Annotated[Path, _about("Key of `ONE_MIN_TLS_CERT`.")] = ""
    tls_client_ca: Annotated[
        Path, _about("Only gRPC clients with a certificate of this authority are served.")
    ] = ""

    def describe(self) -> dict[str, object]:
        """Return every setting by its variable; credentials within URLs are masked."""
        shown = {variable(name): getattr(self, name) for name in self.__struct_fields__}
        for name in ("upstream_proxy", "api_url"):
            shown[variable(name)] = _without_userinfo(getattr(self, name))
        return shown

    def __repr__(self) -> str:
        return f"Settings({self.describe()})"


class SettingsError(ValueError):
    """One variable is wrong; the text is a line that names it, its value and what is legal."""


def variable(field: str) -> str:
    """Return the variable of a field."""
    return PREFIX + field.upper()


def load(environ: Mapping[str, str]) -> Settings:
    """Read the settings.

    Raises:
        SettingsError: A value is not legal, or does not go with another.
    """
    given: dict[str, object] = {}
    for field in msgspec.structs.fields(Settings):
        text = environ.get(variable(field.name), "").strip()
        if text:
            given[field.name] = _convert(field.name, field.type, text)
    settings = Settings(**given)  # type: ignore[arg-type]  # each value was converted to its type
    _check(settings)
    return settings


def unknown_names(environ: Mapping[str, str]) -> list[str]:
    """Return the names with our prefix that are not settings: perhaps misspelt ones."""
    known = {variable(name) for name in Settings.__struct_fields__}
    return sorted(name for name in environ if name.startswith(PREFIX) and name not in known)


def legal(kind: Any) -> str:
    """Return what the values of a field's type are, for people."""
    extra = msgspec.inspect.type_info(kind).extra  # type: ignore[attr-defined]  # Metadata only
    return str(extra["legal"])


def _convert(field: str, kind: Any, text: str) -> object:
    value: object = text
    if legal(kind) == "names with commas between":
        value = [name.strip() for name in text.split(",") if name.strip()]
    try:
        return msgspec.convert(value, kind, strict=False)
    except msgspec.ValidationError:
        raise _wrong(field, text, legal(kind)) from None


def _check(settings: Settings) -> None:
    for field in ("api_url", "upstream_proxy"):
        url = getattr(settings, field)
        if url and not _is_origin(url):
            raise _wrong(field, _without_userinfo(url), "an http or https URL without a path")
    if settings.role == "http" and not settings.grpc_target:
        raise _wrong("grpc_target", "", "an address, because ONE_MIN_ROLE is http")
    if bool(settings.tls_cert) != bool(settings.tls_key):
        field = "tls_cert" if settings.tls_key else "tls_key"
        raise _wrong(field, "", "a path, because certificate and key go together")
    if settings.tls_client_ca and not settings.tls_cert:
        raise _wrong("tls_cert", "", "a path, because ONE_MIN_TLS_CLIENT_CA is set")
    if settings.max_in_flight_per_key > settings.max_in_flight:
        raise _wrong(
            "max_in_flight_per_key",
            str(settings.max_in_flight_per_key),
            f"at most ONE_MIN_MAX_IN_FLIGHT, {settings.max_in_flight}",
        )


def _is_origin(url: str) -> bool:
    try:
        parts = urlsplit(url)
        has_host = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
    extra = parts.path.strip("/") or parts.query or parts.fragment
    return parts.scheme in ("http", "https") and has_host and not extra


def _without_userinfo(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    return f"{scheme}{separator}***@{rest.rpartition('@')[2]}" if "@" in rest else url


def _wrong(field: str, value: str, legal_values: str) -> SettingsError:
    return SettingsError(f"{variable(field)}={value!r} is not legal: expected {legal_values}")
