# SPDX-License-Identifier: GPL-3.0-or-later
"""A layout that records what a panel or a menu draws."""

from __future__ import annotations

import types
from typing import Any


class RecordingLayout:
    """A layout of Blender; its rows, columns and boxes are itself."""

    def __init__(self) -> None:
        self.operators: list[str] = []
        self.menus: list[str] = []
        self.labels: list[str] = []
        self.properties: list[tuple[Any, str]] = []
        self.alert = False

    def operator(self, name: str, **_options: Any) -> Any:
        self.operators.append(name)
        return types.SimpleNamespace()

    def operator_menu_enum(self, name: str, _property: str, **_options: Any) -> None:
        self.operators.append(name)

    def menu(self, name: str, **_options: Any) -> None:
        self.menus.append(name)

    def label(self, *, text: str = "", **_options: Any) -> None:
        self.labels.append(text)

    def prop(self, owner: Any, name: str, **_options: Any) -> None:
        self.properties.append((owner, name))

    def row(self, **_options: Any) -> RecordingLayout:
        return self

    def column(self, **_options: Any) -> RecordingLayout:
        return self

    def box(self) -> RecordingLayout:
        return self

    def separator(self) -> None:
        pass
