"""The terminal's face over flows and stages. On top of everything; nothing imports it."""
