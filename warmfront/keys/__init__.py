"""`warmfront keys`: the API keys of the gateway, made and taken back."""
