"""The fault menu: `menu` joins the rows of `refusals`, `speech`, `stream` and `wire`."""

from __future__ import annotations
