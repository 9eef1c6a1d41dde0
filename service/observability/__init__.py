"""Logs and metrics, with bounded labels and without secrets."""

from __future__ import annotations
