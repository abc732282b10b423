"""The serving tier: gateway, replica, engine, runtime."""
