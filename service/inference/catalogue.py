"""The catalogue: which models are offered, and what answers to each name.

A name means the first of these that fits:

    an id that the provider serves    gpt-4o
    an alias of a model               claude-sonnet-4-5
    the old id of a renamed model     claude-sonnet-4-6
    a retired model                   gpt-4, answered openly by its substitute gpt-4o

The shipped list answers at once. The provider's live list is laid over it: what it calls active is
listed, what it calls disabled is neither listed nor usable, and its limits and capabilities win. A
shipped model that it does not mention is no longer listed but stays usable: a list that came short
must not turn into 404s, and the provider refuses an id that it does not know without a charge.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

import msgspec

from service.errors import Reason, ServiceError
from service.inference.shipped import shipped_models
from service.translation.model import to_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from onemin.inference.v1 import model_pb2
    from service.inference.shipped import ShippedModel
    from service.upstream.payloads import ModelEntry

MAX_LIVE_MODELS: Final = 5_000
"""Entries of the live list that are read; the provider has some hundred."""

_SHOWN_CHARACTERS: Final = 128
_SENDABLE: Final = re.compile(r"[\x21-\x7e]{1,256}")
"""Ids that fit the contract, and a header or metadata entry."""


@dataclass(frozen=True, slots=True)
class Resolution:
    """What answers to a name.

    Attributes:
        requested: The name.
        upstream_id: The id to send to the provider.
        answer_id: The id that the answer bears: the name itself, unless another model answers.
        owner: The vendor of the model that answers.
        substituted: Whether another model answers than the one that was asked for.
    """

    requested: str
    upstream_id: str
    answer_id: str
    owner: str
    substituted: bool

    @property
    def label(self) -> str:
        """The model as a label of metrics: bounded, because no caller can make one up."""
        return self.upstream_id


@dataclass(frozen=True, slots=True)
class _View:
    """All answers of the catalogue between two live lists; replaced as a whole."""

    resolutions: Mapping[str, Resolution]
    models: Mapping[str, model_pb2.Model]
    listed: tuple[model_pb2.Model, ...]
    unknown_allowed: tuple[str, ...]


class Catalogue:
    """The models that are offered. Answers come from memory and never wait.

    Args:
        shipped: The models to begin with; the references between them hold.
        allowed: Ids or aliases of the only models that are offered; empty means all. They are
            compared with the model that answers, so allowing a retired model allows nothing.
        substitutes: Whether another model may answer for a retired one.
    """

    def __init__(
        self, shipped: Iterable[ShippedModel], *, allowed: tuple[str, ...], substitutes: bool
    ) -> None:
        self._shipped = {model.id: model for model in shipped}
        self._allowed = allowed
        models = self._shipped.values()
        self._aliases = {alias: model.id for model in models for alias in model.aliases}
        self._renames = {model.id: model.replaced_by for model in models if model.replaced_by}
        self._substitutes = {
            model.id: model.substitute for model in models if substitutes and model.substitute
        }
        self._view = self._compile({})

    @classmethod
    def shipped(cls, *, allowed: tuple[str, ...], substitutes: bool) -> Self:
        """Return a catalogue of the models that the package lists."""
        return cls(shipped_models(), allowed=allowed, substitutes=substitutes)

    def resolve(self, model: str) -> Resolution:
        """Return what answers to a name.

        Raises:
            ServiceError: `MODEL_NOT_FOUND` if nothing does.
        """
        resolution = self._view.resolutions.get(model)
        if resolution is None:
            raise _not_found(model)
        return resolution

    def get(self, model: str) -> model_pb2.Model:
        """Describe the model that has this id, old id or alias. Not to be written to.

        A retired model is not found: its substitute is another model.

        Raises:
            ServiceError: `MODEL_NOT_FOUND` if there is none.
        """
        view = self._view
        resolution = view.resolutions.get(model)
        if resolution is None or resolution.substituted:
            raise _not_found(model)
        return view.models[resolution.upstream_id]

    def models(self, capability: int | None = None) -> Sequence[model_pb2.Model]:
        """Return the models that are listed, sorted by id, under their ids. Not to be written to.

        With a capability, a value of `ModelCapability`, only those that have it.
        """
        listed = self._view.listed
        if capability is None:
            return listed
        return [model for model in listed if capability in model.capabilities]

    def unknown_allowed(self) -> Sequence[str]:
        """Return the names of the allow-list that no model has, now: perhaps misspelt ones."""
        return self._view.unknown_allowed

    def replace(self, entries: Sequence[ModelEntry]) -> bool:
        """Lay a live list over the shipped one, instead of the live list before.

        Returns:
            False if the list was not believed, because no model in it is active: the provider
            answers a wrong question with an empty list. Nothing has changed then.
        """
        live = {e.id: e for e in entries[:MAX_LIVE_MODELS] if _SENDABLE.fullmatch(e.id)}
        if not any(entry.active for entry in live.values()):
            return False
        self._view = self._compile(live)
        return True

    def _compile(self, live: Mapping[str, ModelEntry]) -> _View:
        usable = self._usable(live)
        names = {*usable, *self._aliases, *self._renames, *self._substitutes}
        allowed = {self._current(name, usable) for name in self._allowed}
        if not self._allowed:
            allowed = set(usable)
        resolutions = {}
        for name in names:
            resolution = self._resolution(name, usable)
            if resolution is not None and resolution.upstream_id in allowed:
                resolutions[name] = resolution
        models = {id_: to_model(entry) for id_, entry in usable.items() if id_ in allowed}
        return _View(
            resolutions=resolutions,
            models=models,
            listed=tuple(models[id_] for id_ in sorted(models) if not live or id_ in live),
            unknown_allowed=tuple(
                name for name in self._allowed if self._current(name, usable) not in models
            ),
        )

    def _usable(self, live: Mapping[str, ModelEntry]) -> dict[str, ModelEntry]:
        """Return the models that can be sent to the provider, by id."""
        usable = {model.id: model.entry() for model in self._shipped.values() if not model.retired}
        for entry in live.values():
            if entry.active:
                usable[entry.id] = _merged(self._shipped.get(entry.id), entry)
            else:
                usable.pop(entry.id, None)
        return usable

    def _current(self, name: str, usable: Mapping[str, ModelEntry]) -> str:
        """Return the id under which the model of this name is known today, served or not."""
        for other_names in (self._aliases, self._renames):
            if name not in usable:
                name = other_names.get(name, name)
        return name

    def _resolution(self, name: str, usable: Mapping[str, ModelEntry]) -> Resolution | None:
        current = self._current(name, usable)
        answering = current if current in usable else self._substitutes.get(current, current)
        if answering not in usable:
            return None
        substituted = answering != current
        return Resolution(
            requested=name,
            upstream_id=answering,
            answer_id=answering if substituted else name,
            owner=usable[answering].owner,
            substituted=substituted,
        )


def _merged(shipped: ShippedModel | None, live: ModelEntry) -> ModelEntry:
    """Return a live entry with what the shipped one knows better.

    Title and vendor do not change with a refresh; the provider's own titles name its suppliers.
    """
    if shipped is None:
        return live
    return msgspec.structs.replace(
        live,
        title=shipped.title,
        owner=shipped.owner,
        vision=shipped.vision if live.vision is None else live.vision,
        context_tokens=live.context_tokens or shipped.context,
        output_tokens=live.output_tokens or shipped.output,
    )


def _not_found(model: str) -> ServiceError:
    shown = "".join(
        character if character.isprintable() else "\N{REPLACEMENT CHARACTER}"
        for character in model[:_SHOWN_CHARACTERS]
    )
    return ServiceError(
        Reason.MODEL_NOT_FOUND,
        f"The model `{shown}` does not exist or you do not have access to it.",
        metadata={"model": shown},
    )
