"""A view is a verb; its first line looks the object up through its owner."""
