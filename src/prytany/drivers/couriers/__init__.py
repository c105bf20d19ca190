"""Couriers that tell people: an operator's command, and a webhook."""
