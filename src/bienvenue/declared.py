"""Declared fields: what an application asks its users for, as a pydantic model.

The model is read once. Of it come the fields of forms and of the JSON API, with labels, bounds and
errors, and the readers of the command line and of imports.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, Field, TypeAdapter, ValidationError, create_model
from pydantic.fields import FieldInfo

from bienvenue import clock, user_fields
from bienvenue.user_fields import UserField

B = TypeVar("B", bound=BaseModel)

LONGEST = 512
"""Characters of a text that names no maximum."""

_RESERVED = {"email", "password", "invitation", "next", "form_token"}
_YES = {"on", "true", "1", "yes"}


@dataclass(frozen=True)
class Accepted:
    """Marks a boolean that must be true: terms of a version, stored with the time of consent.

    `terms: Annotated[bool, Accepted("2026-11", link="/terms")]`
    """

    version: str
    #: Where the terms can be read.
    link: str = ""


class DeclarationProblem(Exception):
    """A model of fields that cannot be used; the message says which field and why."""


@dataclass(frozen=True)
class DeclaredField:
    """One field of the model."""

    name: str
    label: str
    hint: str
    kind: Literal["text", "number", "yes_no", "choice", "accepted"]
    required: bool
    #: Whether the user may change it later.
    editable: bool
    longest: int
    choices: tuple[str, ...] = ()
    accepted: Accepted | None = None
    #: What forms and JSON are checked by.
    annotation: Any = field(default=None, repr=False)
    default: Any = None

    def read(self, value: Any) -> Any:
        """Return a value of a command or an import as it is stored. Raises ValueError."""
        if self.accepted is not None:
            return _read_acceptance(value)
        if self.kind == "yes_no":
            return user_fields.yes_no(value)
        try:
            return TypeAdapter(self.annotation).validate_python(value, strict=True)
        except ValidationError:
            raise ValueError("has a value that the field does not take") from None

    def kept(self, value: Any) -> Any:
        """Return a value of a form as it is stored: terms with their version and the time now."""
        if self.accepted is None:
            return value
        return {"version": self.accepted.version, "accepted_at": math.floor(clock.now())}

    def written(self, value: Any) -> Any:
        """Return a stored value as exports write it."""
        if self.accepted is None or value is None:
            return value
        return f"{value['version']} {clock.written(value['accepted_at'])}"

    def shown(self, value: Any) -> Any:
        """Return a stored value for the user's own data: times in RFC 3339."""
        if self.accepted is None or value is None:
            return value
        return value | {"accepted_at": clock.written(value["accepted_at"])}


def _read_acceptance(value: Any) -> dict[str, Any]:
    version, _, at = user_fields.text(value).strip().rpartition(" ")
    if not version:
        raise ValueError("is not a version and a time, as 2026-11 2026-11-30T12:00:00Z")
    return {"version": version, "accepted_at": math.floor(user_fields.moment(at))}


class Declared:
    """The fields that an application declares, in their order."""

    def __init__(self, model: type[BaseModel]) -> None:
        """Read a model. Raises DeclarationProblem."""
        self._model = model
        self.fields = tuple(_field(name, info) for name, info in model.model_fields.items())
        self._forms: dict[tuple[type[BaseModel], bool], Any] = {}

    @property
    def user_fields(self) -> tuple[UserField, ...]:
        """The same for imports and exports."""
        return tuple(
            UserField(each.name, each.label, each.read, each.written) for each in self.fields
        )

    def named(self, name: str) -> DeclaredField | None:
        """Return the field of a name, or None."""
        return next((each for each in self.fields if each.name == name), None)

    def form(self, base: type[B], *, editing: bool = False) -> type[B]:
        """Return a form of a page with these fields, or with the editable ones."""
        key = (base, editing)
        if key not in self._forms:
            wanted = {
                each.name: (
                    each.annotation,
                    Field(
                        ... if each.required else each.default,
                        title=each.label,
                        description=each.hint or None,
                    ),
                )
                for each in self.fields
                if each.editable or not editing
            }
            # The model comes along for its validators, unless some of its fields do not.
            bases = (base,) if editing else (self._model, base)
            made: Any = create_model  # its fields are known only now
            self._forms[key] = made(
                base.__name__, __base__=bases, __module__=base.__module__, **wanted
            )
        found: type[B] = self._forms[key]
        return found

    def values(self, form: BaseModel) -> dict[str, Any]:
        """Return what a form gives for these fields, as it is stored."""
        given = {each: getattr(form, each.name, None) for each in self.fields}
        return {each.name: each.kept(value) for each, value in given.items() if value is not None}


def _field(name: str, info: FieldInfo) -> DeclaredField:
    if name in _RESERVED or name.startswith("_") or not name.isascii():
        raise DeclarationProblem(f"a field cannot be called {name}: the service has that name")
    inner, optional = _without_none(info.annotation)
    marks = list(info.metadata)
    if get_origin(inner) is Annotated:
        inner, *within = get_args(inner)
        marks += [one for each in within for one in getattr(each, "metadata", [each])]
    accepted = next((each for each in marks if isinstance(each, Accepted)), None)
    bounds: Sequence[Any] = [each for each in marks if not isinstance(each, Accepted)]
    longest = next(
        (each.max_length for each in bounds if getattr(each, "max_length", None)), LONGEST
    )
    required = info.is_required() and not optional
    kind, annotation, choices = _kind(name, inner, accepted)
    if kind == "text":
        bounds = [*bounds, Field(max_length=longest), *([Field(min_length=1)] if required else [])]
    for bound in bounds:
        annotation = Annotated[annotation, bound]
    if not required and kind != "yes_no":
        annotation = Annotated[annotation | None, BeforeValidator(_or_none)]
    return DeclaredField(
        name,
        info.title or name.replace("_", " ").capitalize(),
        info.description or "",
        kind,
        required,
        accepted is None and not info.frozen,
        longest,
        choices,
        accepted,
        annotation,
        False if kind == "yes_no" and info.is_required() else info.get_default(),
    )


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in {Union, UnionType}:
        others = [each for each in get_args(annotation) if each is not NoneType]
        if len(others) == 1:
            return others[0], True
    return annotation, False


def _kind(name: str, inner: Any, accepted: Accepted | None) -> tuple[Any, Any, tuple[str, ...]]:
    if accepted is not None and inner is bool:
        return "accepted", Annotated[Literal[True], BeforeValidator(_checked)], ()
    if inner is bool:
        return "yes_no", Annotated[bool, BeforeValidator(_checked)], ()
    if inner is int:
        return "number", Annotated[int, BeforeValidator(_number)], ()
    if inner is str:
        return "text", Annotated[str, BeforeValidator(_stripped)], ()
    if get_origin(inner) is Literal and all(isinstance(each, str) for each in get_args(inner)):
        return "choice", inner, get_args(inner)
    raise DeclarationProblem(
        f"the field {name} is of a kind that no form has: use str, int, bool or a Literal of texts"
    )


def _checked(value: Any) -> Any:
    return value.strip().lower() in _YES if isinstance(value, str) else value


def _number(value: Any) -> Any:
    try:
        return int(value.strip()) if isinstance(value, str) else value
    except ValueError:
        return value


def _stripped(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


def _or_none(value: Any) -> Any:
    return None if isinstance(value, str) and not value.strip() else value


def shown(declared: Declared, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return stored values for the user's own data; what is no field any more as it is."""
    known = {each.name: each.shown for each in declared.fields}
    return {name: known[name](value) if name in known else value for name, value in values.items()}
