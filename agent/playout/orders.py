"""What may be wrong with an order."""


class OrderError(Exception):
    """The order cannot be carried out, and nothing has changed; the text is the answer."""
