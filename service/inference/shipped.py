"""The list of models that is shipped with the service, `models.json`."""

from __future__ import annotations

from importlib import resources

import msgspec

from service.upstream.payloads import ModelEntry


class ShippedModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One chat model that the provider serves or has served.

    Attributes:
        id, title, owner: What to send, the name for people, the vendor in lower case.
        vision: Whether it takes images; None where nobody knows.
        code: Whether it is also offered as a writer of code.
        context, output: The vendor's own limits in tokens, where published.
        aliases: Other names that clients use; never sent to the provider.
        replaced_by: The new id of the same model.
        substitute: Another model that stands in for this one, which is retired.
    """

    id: str
    title: str
    owner: str
    vision: bool | None = None
    code: bool = False
    context: int | None = None
    output: int | None = None
    aliases: tuple[str, ...] = ()
    replaced_by: str | None = None
    substitute: str | None = None

    @property
    def retired(self) -> bool:
        """Whether the provider no longer answers to this id."""
        return self.replaced_by is not None or self.substitute is not None

    def entry(self) -> ModelEntry:
        """Return it in the shape of the provider's live list."""
        return ModelEntry(
            id=self.id,
            title=self.title,
            owner=self.owner,
            active=not self.retired,
            vision=self.vision,
            code=self.code,
            context_tokens=self.context,
            output_tokens=self.output,
        )


class _File(msgspec.Struct, forbid_unknown_fields=True):
    about: list[str]
    models: tuple[ShippedModel, ...]


def shipped_models() -> tuple[ShippedModel, ...]:
    """Read the package's list."""
    data = resources.files(__package__).joinpath("models.json").read_bytes()
    return msgspec.json.decode(data, type=_File).models
