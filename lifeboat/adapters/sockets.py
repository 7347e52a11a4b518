"""What every connection of ours that may wait for hours has."""

from __future__ import annotations

import socket

IDLE, INTERVAL, COUNT = 30, 10, 3
"""Seconds of silence before the first question, seconds between questions, and how many may stay unanswered."""


def keep_alive(connection: socket.socket) -> None:
    """Notice a peer that is gone without a word within a minute."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", IDLE), ("TCP_KEEPINTVL", INTERVAL), ("TCP_KEEPCNT", COUNT)):
        if connection.family != socket.AF_UNIX and hasattr(socket, option):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
