"""What an app registers by name, resolved with the settings of one app."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Generic, Protocol, TypeVar

from ..errors import ConfigError
from .settings import Settings

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Spec(Protocol[T_co]):
    """Something as an app registers it."""

    def resolve(self, settings: Settings, *, special_use: Callable[[], bool], moving: bool) -> T_co:
        """Return it as an app's settings have it.

        :raises ConfigError: if its own settings contradict the app's.
        """


@dataclass(repr=False, eq=False)
class Registry(Generic[T]):
    """Actor types or purposes of one app, as its settings have them.

    :ivar specs: what is registered, by name. What is there now is fixed for this app; names that
        are added later become visible.
    :ivar special_use: tells whether e-mail domains such as ``.test`` are taken; asked at each
        use, as ``app.testing`` may be set late.
    :ivar moving: whether the windows of limits move (see :meth:`Settings.overridden`).
    :raises ConfigError: with every contradiction between what is registered and the app's settings.
    """

    specs: Mapping[str, Spec[T]]
    settings: Settings
    _: KW_ONLY
    special_use: Callable[[], bool] = lambda: False
    moving: bool = True
    _resolved: dict[str, T] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        faults: list[str] = []
        for name in tuple(self.specs):
            try:
                self.find(name)
            except ConfigError as error:
                faults += error.faults
        if faults:
            raise ConfigError(*faults)

    @property
    def names(self) -> tuple[str, ...]:
        """All registered names."""
        return tuple(dict.fromkeys((*self._resolved, *self.specs)))

    def find(self, name: str) -> T | None:
        """Return what is registered under a name, or ``None``.

        :raises ConfigError: if it was added after ``init_app`` and contradicts the app's settings.
        """
        found = self._resolved.get(name)
        if found is None and (spec := self.specs.get(name)) is not None:
            # Of two threads that resolve a name at the same time, the first one's counts.
            found = self._resolved.setdefault(name, self._resolve(spec))
        return found

    def _resolve(self, spec: Spec[T]) -> T:
        return spec.resolve(self.settings, special_use=self.special_use, moving=self.moving)
