"""Where video files lie, behind Django's storage interface. One module per kind."""
