"""Calendars: local time, holidays and events, and what a forecast makes of them."""
