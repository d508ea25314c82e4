"""The integration in a Home Assistant that tests make for themselves."""
