"""Feed → event: each producer parses its protocol and hands arrivals to the intake. Knows no worker and no model."""
